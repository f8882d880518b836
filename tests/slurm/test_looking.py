"""What `polar-tools doctor` and `polar-tools status` say of a real cluster and of jobs on it."""

import json
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

from tests.slurm.cluster import Cluster
from tests.slurm.runs import QUICK, TARGET, TRAIN, Project
from tests.tiny import run

PROFILE = {"executor": "slurm", "slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 10}


def doctor(folder: Path, cluster: Cluster, *words: str, hub: str = "", **resources: str) -> dict[str, list[tuple[str, str]]]:
    """What the doctor finds with a profile that asks for these resources: by subject."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site/profile.yaml").write_text(json.dumps({**PROFILE, "default-resources": resources}))
    done = run(
        "polar-tools",
        "doctor",
        *words,
        "--profile",
        "site",
        "--json",
        cwd=folder,
        **cluster.environment,
        **({"HF_ENDPOINT": hub} if hub else {}),
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for one in json.loads(done.stdout):
        found.setdefault(one["subject"], []).append((one["level"], one["said"]))
    problems = any(level == "problem" for each in found.values() for level, _ in each)
    assert done.returncode == int(problems), done.stderr
    return found


def test_a_cluster_that_is_well_is_told_to_be(fresh: Path, cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        here = f"http://127.0.0.1:{hub.getsockname()[1]}"
        found = doctor(fresh, cluster, "config/config.yaml", hub=here, slurm_partition="gpu")
    assert found["node-hub"][0][0] == "good"
    ((level, said),) = doctor(fresh, cluster, hub=here, slurm_partition="gpu")["node-hub"]
    assert level == "note" and "doesn't reach the Hub at 127.0.0.1 (" in said and "run where snakemake does" in said
    assert found["status"] == [("good", "jobs are asked for by squeue; accounting is off")]
    assert found["partition"] == [("good", "`gpu`, up to 2 GPUs a node")]
    ((level, said),) = found["node"]
    assert level == "good" and "writes here and runs polar-tools" in said
    assert not list(fresh.glob(".polar-doctor-*"))


def test_what_no_node_has_is_said_before_anything_is_submitted(fresh: Path, cluster: Cluster) -> None:
    assert (
        "there is no partition `gup`; there are all, cheap, gpu, urgent" in doctor(fresh, cluster, slurm_partition="gup")["partition"][0][1]
    )
    config = fresh / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("method: cls", "method: cls\n    gpus: 5", 1), encoding="utf-8")
    found = doctor(fresh, cluster, "config/config.yaml", slurm_partition="gpu")
    assert (
        found["partition"][0][0] == "problem"
        and "asks for 5 GPUs on a node, and no node of `gpu` has more than 2" in found["partition"][0][1]
    )
    assert found["submission"][0][0] == "problem"


def standing(project: Project) -> dict[str, Any]:
    """How the training stands."""
    done = run("polar-tools", "status", "--json", cwd=project.folder, **project.cluster.environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = next(one for one in json.loads(done.stdout) if one["path"] == TRAIN)
    return found


def test_jobs_are_seen_to_wait_to_run_and_to_end(project_here: Project) -> None:
    project_here.edit(("max_steps: 4\n", "max_steps: 100000\n"))
    whole = ("--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 600")
    others = project_here.cluster.says("sbatch", "--parsable", *whole).strip()
    project_here.start(TARGET, *QUICK, "--retries", "0")
    queued = project_here.wait(lambda: (one := standing(project_here))["state"] == "queued" and one, "the job to be seen")
    (job, _) = project_here.jobs(comment="rule_train")[0]
    assert re.fullmatch(f"Slurm job {job}: (Resources|Priority|None)", queued["reason"])
    project_here.cluster.says("scancel", others)
    seen = project_here.wait(lambda: (one := standing(project_here)).get("advancement") and one, "steps to be seen")
    assert seen["state"] == "running" and f"Slurm job {job}" in seen["owner"] and seen["advancement"]["of"] == 100000
    os.kill(project_here.owner(), signal.SIGKILL)  # it must not hear that it is cancelled, or it would save and say so itself
    project_here.cluster.says("scancel", job)
    assert project_here.finish() == 1
    ended = standing(project_here)
    assert ended["state"] == "failed" and f"Slurm job {job}" in ended["reason"] and "was killed: it was cancelled" in ended["reason"]
