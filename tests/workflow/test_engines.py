"""Other engines than Slurm: a profile each, whose jobs are those of the engine, and the images that they run in."""

import argparse
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.tiny import REPOSITORY, run
from tests.workflow.test_profiles import jobs

KUBECTL = """\
#!{python}
# Stands for a cluster: keeps each Job as it was given, and runs its container's command here.
import json, pathlib, subprocess, sys
folder = pathlib.Path({folder!r})
words = sys.argv[1:]
if words[0] == "create":
    job = json.load(sys.stdin)
    file = folder / (job["metadata"]["name"] + ".json")
    file.write_text(json.dumps(job))
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    run = "import subprocess, sys; open(sys.argv[1], 'w').write(str(subprocess.run(sys.argv[2:], start_new_session=True).returncode))"
    with open(folder / "out", "ab") as out:
        subprocess.Popen([sys.executable, "-c", run, str(file) + ".status", *command], stdout=out, stderr=out, start_new_session=True)
elif words[0] == "get":
    status = folder / (words[2] + ".json.status")
    ended = status.read_text() if status.is_file() else ""
    print(json.dumps({{"status": {{"": {{"active": 1}}, "0": {{"succeeded": 1}}}}.get(ended, {{"failed": 1}})}}))
"""
BSUB = """\
#!{python}
import json, sys
json.dump(sys.argv[1:], open({folder!r} + "/bsub.json", "w"))
sys.exit("this is no cluster")
"""
BADMIN = """\
#!/bin/sh
printf 'badmin\\nLSB_SHAREDIR = {folder}\\nLSF_CONFDIR = {folder}\\nLSF_UNIT_FOR_LIMITS = MB\\n'
"""
LSCLUSTERS = "#!/bin/sh\nprintf 'CLUSTER_NAME STATUS\\nlab ok\\n'\n"


def programs(folder: Path, **texts: str) -> str:
    """A PATH on which these programs come first."""
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
        (folder / name).chmod(stat.S_IRWXU)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.mark.parametrize("profile", ["kubernetes", "lsf"])
def test_an_engine_makes_the_same_dag(fresh: Path, tmp_path: Path, profile: str) -> None:
    assert set(jobs(fresh, "--profile", f"profiles/{profile}")) == set(jobs(fresh)) != set()


@pytest.mark.slow
def test_jobs_of_kubernetes_are_such_and_make_what_they_are_for(fresh: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "cluster", kubectl=KUBECTL)
    target = "results/datasets/kinds/manifest.json"
    done = subprocess.run(
        ["snakemake", "--profile", "profiles/kubernetes", "--latency-wait", "5", target],
        cwd=fresh,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + (tmp_path / "cluster/out").read_text()
    assert (fresh / target).is_file()
    (made,) = (json.loads(file.read_bytes()) for file in (tmp_path / "cluster").glob("*.json"))
    valid(made)
    assert made["metadata"]["name"].startswith("polar-prepare-")
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "8000Mi"} and made["spec"]["activeDeadlineSeconds"] == 7200


def valid(job: dict[str, Any]) -> None:
    """Hold a Job to the schema that Kubernetes itself publishes."""
    kubernetes_validate.validate(job, "1.33", strict=True)


def test_a_training_in_a_pod_is_told_of_its_end(tmp_path: Path) -> None:
    path = programs(tmp_path / "cluster", kubectl=KUBECTL)
    script = tmp_path / "script.sh"
    script.write_text("echo begun; trap 'echo saved; exit 75' TERM; while :; do sleep 0.1; done\n", encoding="utf-8")
    asked = ["--name", "train", "--cpus", "4", "--mem-mb", "64000", "--gpus", "2", "--minutes", "600", str(script)]
    kubernetes = [sys.executable, str(REPOSITORY / "profiles/kubernetes/kubernetes.py")]
    env = os.environ | {"PATH": path}
    name = subprocess.run([*kubernetes, "submit", *asked], env=env, capture_output=True, text=True, check=True).stdout.strip()
    job = json.loads((tmp_path / f"cluster/{name}.json").read_bytes())
    valid(job)
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    out = tmp_path / "cluster/out"
    until(lambda: "begun" in out.read_text())

    def status() -> str:
        return subprocess.run([*kubernetes, "status", name], env=env, capture_output=True, text=True, check=True).stdout.strip()

    assert status() == "running"
    subprocess.run(["pkill", "--signal", "TERM", "--full", f"^bash -c trap .*{re.escape(str(script))}"], check=True)
    until(lambda: status() != "running")
    assert status() == "failed" and "saved" in out.read_text()


def until(condition: Any) -> None:
    """Wait for something that takes moments."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_jobs_of_lsf_are_submitted_with_options_of_bsub(project: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "cluster", bsub=BSUB, badmin=BADMIN, lsclusters=LSCLUSTERS)
    params = tmp_path / "cluster/lsbatch/lab/configdir/lsb.params"
    params.parent.mkdir(parents=True)
    params.touch()
    config = project / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("max_steps: 4", "max_steps: 5"), encoding="utf-8")
    words = ("snakemake", "--profile", "profiles/lsf", "--retries", "0", "results/say/seed0/train/manifest.json")
    done = subprocess.run(words, cwd=project, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert "this is no cluster" in done.stdout + done.stderr
    asked = bsub(json.loads((tmp_path / "cluster/bsub.json").read_bytes()))
    assert (asked.q, asked.P, asked.W, asked.n, asked.gpu, asked.wa, asked.wt) == ("gpu", "train", 1440, 1, "num=1", "TERM", 5)
    assert asked.R == ["rusage[mem=16000.0]", "span[hosts=1]"]
    assert "rule_train:experiment=say,run=seed0" in asked.J


def bsub(words: list[str]) -> argparse.Namespace:
    """The options, by IBM's reference of bsub: LSF publishes no other schema of a job."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=True)
    for option in ("-J", "-o", "-e", "-env", "-P", "-q", "-cwd", "-wa", "-gpu"):
        parser.add_argument(option)
    for option in ("-W", "-n", "-wt"):
        parser.add_argument(option, type=int)
    parser.add_argument("-R", action="append")
    parser.add_argument("command")
    return parser.parse_args(words)


def test_images_are_made_of_what_is_there() -> None:
    extras = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    sections = re.split(r"^%(\w+)\n", (REPOSITORY / "envs/polar.def").read_text(encoding="utf-8"), flags=re.MULTILINE)
    apptainer = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert set(apptainer) == {"files", "post", "environment", "runscript", "test", "help"}
    docker = (REPOSITORY / "envs/Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[0] for line in apptainer["files"].splitlines() if line.strip()]
    copied += [word for line in docker.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied and all((REPOSITORY / name).exists() for name in copied)
    installed = [set(re.search(r'"\.\[(.*)\]"', text)[1].split(",")) for text in (apptainer["post"], docker)]  # type: ignore[index]
    assert installed[0] == installed[1] <= extras
    for script in (apptainer["post"], apptainer["runscript"], (REPOSITORY / "envs/conda.post-deploy.sh").read_text(encoding="utf-8")):
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        assert all(shlex.split(line, comments=True) is not None for line in script.splitlines())


def test_container_and_modules_are_those_of_the_config(fresh: Path) -> None:
    config = fresh / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "  container: missing.sif\n  envmodules: [cuda/12.8]\n", encoding="utf-8")
    done = run("snakemake", "-n", "--sdm", "apptainer", cwd=fresh)
    assert "missing.sif" in done.stdout + done.stderr or "apptainer" in (done.stdout + done.stderr).lower()
    plain = run("snakemake", "-n", cwd=fresh)
    assert plain.returncode == 0
