"""Ten faults at random over one DAG: whatever comes together, the records are those of a run that nobody touched."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.slurm.runs import QUICK, Project, records
from tests.tiny import run

FAULTS = 10
PAUSES = (3.0, 20.0)
"""Seconds from one fault to the next, at least and at most."""
Job = tuple[str, str]
"""Number and node."""


def cancel(project: Project, job: Job, chance: random.Random) -> None:
    project.cluster.says("scancel", job[0])


def crash(project: Project, job: Job, chance: random.Random) -> None:
    node = job[1]
    project.cluster.crash(node)
    time.sleep(chance.uniform(0, 15))  # before or after the controller has noticed
    project.cluster.revive(node)


def restart_controller(project: Project, job: Job, chance: random.Random) -> None:
    project.cluster.kill("slurmctld")
    time.sleep(chance.uniform(0, 30))
    project.cluster.start_controller()


def kill_snakemake(project: Project, job: Job, chance: random.Random) -> None:
    project.kill()
    unlocked = run("snakemake", "--unlock", cwd=project.folder)
    assert unlocked.returncode == 0, unlocked.stderr
    project.start(*QUICK)


def preempt(project: Project, job: Job, chance: random.Random) -> None:
    node = job[1]
    project.cluster.says("sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")


def requeue(project: Project, job: Job, chance: random.Random) -> None:
    with suppress(AssertionError):  # it may have ended just now
        project.cluster.says("scontrol", "requeue", job[0])


KINDS: tuple[Callable[[Project, Job, random.Random], None], ...] = (cancel, crash, restart_controller, kill_snakemake, preempt, requeue)


@pytest.mark.slow
def test_ten_random_faults_leave_no_trace(fresh_here: Project, finished: Path) -> None:
    chance, done = random.Random(8), list[str]()
    fresh_here.start(*QUICK)
    while len(done) < FAULTS and not (fresh_here.folder / "results/report/manifest.json").is_file():
        time.sleep(chance.uniform(*PAUSES))
        assert fresh_here.main is not None
        if fresh_here.main.poll() is not None:  # too often the same job: a person starts it again
            fresh_here.start(*QUICK)
        if running := fresh_here.jobs("RUNNING"):
            fault = chance.choice(KINDS)
            fault(fresh_here, chance.choice(running), chance)
            done.append(fault.__name__)
    for _ in range(2):
        if fresh_here.finish(1800) == 0:
            break
        fresh_here.start(*QUICK)
    assert fresh_here.finish() == 0, fresh_here.said
    assert len(done) == FAULTS, f"the run was over before: {done}"
    assert records(fresh_here.folder) == records(finished)
