"""`polar-tools run`: a whole config as one process, which ends in order; as a job too."""

import time
from pathlib import Path

import pytest

from polar_tools import jobs
from tests.tiny import run


def test_what_is_there_is_not_made_again(finished: Path) -> None:
    done = run("polar-tools", "run", "--dry-run", cwd=finished)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


def test_where_there_is_no_project_it_says_so(tmp_path: Path) -> None:
    done = run("polar-tools", "run", cwd=tmp_path)
    assert done.returncode == 2 and "there is no Snakefile in" in done.stderr


@pytest.mark.slow
def test_a_run_that_is_cancelled_has_its_training_save(project: Path) -> None:
    config = project / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("max_steps: 4\n", "max_steps: 3000\n"), encoding="utf-8")
    job = jobs.start("run", {"target": ["results/say/seed0/train/manifest.json"], "cores": 1}, project / "jobs", cwd=project)
    metrics, ends = project / "results/say/seed0/train/metrics.jsonl", time.monotonic() + 120
    before = metrics.read_bytes()
    while not metrics.is_file() or metrics.read_bytes() == before or metrics.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < ends and jobs.status(job).state in ("queued", "running"), jobs.status(job).message
        time.sleep(0.1)
    (training,) = [one for one in jobs.status(job).progress["artifacts"] if one["path"] == "results/say/seed0/train"]
    assert training["state"] == "running"
    jobs.cancel(job)
    found = jobs.wait(job)
    assert (found.state, found.exit_status) == ("cancelled", 75)
    saved = sorted((metrics.parent / "checkpoints").glob("checkpoint-*"))
    assert saved and not (metrics.parent / "manifest.json").exists()
