"""`polar-tools status`: what is done, running, waiting and failed, as whoever looks from outside sees it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.tiny import run

TRAIN = "results/say/seed0/train"


def standings(project: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Artifact -> how it stands."""
    done = run("polar-tools", "status", "--json", *arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    return {one["path"]: one for one in json.loads(done.stdout)}


def states(project: Path) -> dict[str, str]:
    return {path: one["state"] for path, one in standings(project).items()}


def lengthen(project: Path) -> None:
    """Have the first training take long."""
    config = project / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("max_steps: 4", "max_steps: 100000", 1), encoding="utf-8")
    assert run("snakemake", "-n", cwd=project).returncode == 0


def test_everything_waits_for_what_is_ready(fresh: Path) -> None:
    found = states(fresh)
    assert found["resources/models/llama"] == "ready" and found["results/datasets/sayings"] == found["results/report"] == "waiting"
    assert not (fresh / "results").exists(), "to look must write nothing"
    text = run("polar-tools", "status", "--below", "resources/", cwd=fresh).stdout.splitlines()
    assert [line.split() for line in text[:-1]] == [[path, "ready"] for path in found if path.startswith("resources/")]
    assert text[-1] == f"{len(text) - 1} ready"


def test_a_finished_project_is_done(project: Path) -> None:
    assert set(states(project).values()) == {"done"}
    assert run("polar-tools", "status", "--watch", cwd=project).returncode == 0, "it ends where there is nothing more to see"


def test_a_training_says_how_far_it_is_and_why_it_ended(project: Path) -> None:
    lengthen(project)
    command = [str(Path(sys.executable).parent / "polar-tools"), "train", f"{TRAIN}/spec.json", "--preflight", "off"]
    job = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while "advancement" not in (seen := standings(project)[TRAIN]):
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        assert seen["state"] == "running" and f"process {job.pid} on " in seen["owner"]
        far = seen["advancement"]
        assert far["of"] == 100000 and 0 < far["done"] < far["of"] and far["tokens_per_second"] > 0 and far["seconds_left"] > 0
        assert states(project)["results/say/seed0/evaluate/sayings"] == "waiting"
        text = run("polar-tools", "status", "--below", TRAIN, cwd=project).stdout
        assert " running  step " in text and " of 100,000, " in text and " tokens/s, " in text and " left; process " in text
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    left = standings(project)[TRAIN]
    assert left["state"] == "failed" and f"process {job.pid}" in left["reason"] and "was killed" in left["reason"]
    assert left["advancement"]["done"] >= far["done"]


def test_a_failure_is_told_with_the_end_of_its_log(fresh: Path) -> None:
    config = fresh / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("completion: answer", "completion: anwser"), encoding="utf-8")
    assert run("snakemake", "results/datasets/sayings/manifest.json", cwd=fresh).returncode == 1
    one = standings(fresh)["results/datasets/sayings"]
    assert one["state"] == "failed" and "did you mean `answer`?" in one["reason"] and one["log"] == "logs/datasets/sayings.log"
    assert any("anwser" in line for line in one["last_lines"])
    config.write_text(config.read_text(encoding="utf-8").replace("completion: anwser", "completion: answer"), encoding="utf-8")
    assert run("snakemake", "-n", cwd=fresh).returncode == 0
    assert states(fresh)["results/datasets/sayings"] == "ready", "what is asked for now hasn't failed"


def test_a_config_that_is_wrong_says_so(fresh: Path) -> None:
    done = run("polar-tools", "status", "missing.yaml", cwd=fresh)
    assert done.returncode == 2 and "there is no config file missing.yaml" in done.stderr
