"""A training on the cluster, and what may happen to it in a night. Each time it ends with the bytes of one that nobody touched."""

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.runs import QUICK, TARGET, TRAIN, Project
from tests.tiny import run

STEPS = 150
LONGER = (("max_steps: 4\n", f"max_steps: {STEPS}\n"), ("save_steps: 2\n", "save_steps: 10\n"))
LIMITS = "run:\n  resources: {{train: {{{}}}}}\n"
COMMENT = "rule_train_wildcards_say_seed0"
EVALUATION = "results/say/seed0/evaluate/sayings"


@pytest.fixture(scope="session")
def undisturbed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The longer training as it ends on this machine."""
    project = Project(Path(shutil.copytree(finished, tmp_path_factory.mktemp("undisturbed") / "project", symlinks=True)), None)  # type: ignore[arg-type]
    project.edit(*LONGER)
    done = run("snakemake", TARGET, cwd=project.folder)
    assert done.returncode == 0, done.stderr
    return project.folder


@pytest.fixture
def longer(project_here: Project) -> Project:
    """A project on the cluster whose training has yet to run, long enough to be disturbed."""
    project_here.edit(*LONGER)
    return project_here


def assert_same(project: Project, undisturbed: Path) -> None:
    """The disturbed training is the undisturbed one to the byte, and verifies."""
    assert project.record() == (undisturbed / TRAIN / "record.json").read_bytes()
    checked = run("polar-tools", "verify", TRAIN, cwd=project.folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def running(project: Project, step: int = 10) -> str:
    """Wait for a checkpoint; gives the number of the job that made it."""
    project.wait(lambda: project.checkpoint(step), "a checkpoint")
    return project.jobs("RUNNING", COMMENT)[-1][0]


def test_time_limit_is_told_early_enough_and_the_next_job_goes_on(longer: Project, undisturbed: Path) -> None:
    longer.edit(("run:\n", LIMITS.format("runtime: 1")))
    longer.start(TARGET, *QUICK)
    running(longer)
    training = longer.owner()
    os.kill(training, signal.SIGSTOP)  # a training that takes longer than a test should
    longer.wait(lambda: told_to_end(training), "Slurm to tell the training of its end")
    with suppress(ProcessLookupError):  # Slurm itself lets it go on, to hear what it is told
        os.kill(training, signal.SIGCONT)
    assert longer.finish() == 0, longer.said
    assert "is saved; run the same command again" in longer.said, "it was killed rather than told"
    assert not longer.jobs("TIMEOUT", COMMENT)
    assert "going on from" in longer.log()
    assert_same(longer, undisturbed)


def told_to_end(process: int) -> bool:
    """Whether a SIGTERM waits for a process that was stopped, or it has heard it and is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return True
    pending = next(line for line in status if line.startswith("ShdPnd"))
    return bool(int(pending.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_cancelled_job_is_submitted_again_and_goes_on(longer: Project, undisturbed: Path) -> None:
    longer.start(TARGET, *QUICK)
    longer.cluster.says("scancel", running(longer))
    assert longer.finish() == 0, longer.said
    assert len(longer.jobs(comment=COMMENT)) == 2
    assert "going on from" in longer.log()
    assert_same(longer, undisturbed)


def test_out_of_memory_is_answered_by_more(longer: Project, undisturbed: Path) -> None:
    longer.edit(("run:\n", LIMITS.format("mem_mb: 450, runtime: 30")))
    longer.start(TARGET, *QUICK)
    assert longer.finish() == 0, longer.said
    memory = [int(line.split("|")[5].rstrip("M")) for line in longer.queue().splitlines()]
    assert memory[:2] == [450, 900]
    assert_same(longer, undisturbed)


def test_crashed_node_is_left_for_another(longer: Project, undisturbed: Path) -> None:
    longer.start(TARGET, *QUICK)
    number = running(longer)
    node = dict(longer.jobs("RUNNING", COMMENT))[number]
    longer.cluster.crash(node)
    assert longer.finish() == 0, longer.said
    assert longer.jobs(comment=COMMENT)[-1][1] != node
    assert_same(longer, undisturbed)


def test_controller_that_is_away_while_jobs_end_and_are_due(longer: Project, undisturbed: Path) -> None:
    longer.start(f"{EVALUATION}/manifest.json", *QUICK)
    running(longer)
    longer.cluster.kill("slurmctld")
    longer.wait(lambda: (longer.folder / TARGET).is_file(), "the training to end without a controller")
    time.sleep(30)  # the executor asks in vain
    longer.cluster.start_controller()
    assert longer.finish() == 0, longer.said
    assert len(longer.jobs(comment=COMMENT)) == 1
    assert_same(longer, undisturbed)


def test_killed_snakemake_leaves_its_job_and_the_next_waits_for_it(longer: Project, undisturbed: Path) -> None:
    longer.start(TARGET, *QUICK)
    orphan, training = running(longer), longer.owner()
    os.kill(training, signal.SIGSTOP)  # lest it is done before the next Snakemake has looked
    longer.kill()
    unlocked = run("snakemake", "--unlock", cwd=longer.folder)
    assert unlocked.returncode == 0, unlocked.stderr
    longer.start(TARGET, *QUICK)
    longer.wait(lambda: f"Slurm job {orphan} of an earlier run is still there" in longer.said, "the orphan to be seen")
    longer.wait(lambda: len(longer.jobs(comment=COMMENT)) == 2, "the next job to be submitted")
    assert [number for number, _ in longer.jobs("RUNNING", COMMENT)] == [orphan]
    os.kill(training, signal.SIGCONT)
    assert longer.finish() == 0, longer.said
    assert f"{TRAIN}: up to date" in longer.log(), "it was trained twice"
    assert_same(longer, undisturbed)


@pytest.mark.parametrize("partition", ["all", "cheap"])
def test_preempted_job_goes_on(longer: Project, undisturbed: Path, partition: str) -> None:
    longer.edit(("run:\n", LIMITS.format(f"slurm_partition: {partition}, runtime: 60")))
    longer.start(TARGET, *QUICK)
    running(longer)
    longer.cluster.says("sbatch", "--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    assert longer.finish() == 0, longer.said
    assert len(longer.jobs(comment=COMMENT)) == {"all": 1, "cheap": 2}[partition]  # queued again by Slurm, or cancelled by it
    assert "going on from" in longer.log()
    assert_same(longer, undisturbed)


def test_folder_that_nodes_cannot_see_is_named(fresh_here: Project, cluster: Cluster) -> None:
    for node in cluster.nodes:
        cluster.crash(node)
        cluster.start_node(node, hidden=fresh_here.folder)
    cluster.ready()
    fresh_here.start("results/datasets/kinds/manifest.json", *QUICK, "--retries", "0")
    assert fresh_here.finish() == 1
    assert "does that node see this folder?" in fresh_here.said
    for node in cluster.nodes:
        cluster.crash(node)


def test_processes_on_two_nodes_train_what_one_trains(longer: Project, finished: Path) -> None:
    longer.edit(
        (f"max_steps: {STEPS}\n", "max_steps: 4\n"),
        ("    per_device_train_batch_size: 4\n", "    per_device_train_batch_size: 2\n    nodes: 2\n"),
    )
    longer.run(TARGET, *QUICK)
    assert losses(longer.folder) == pytest.approx(losses(finished), abs=1e-4)
    assert len(longer.jobs(comment=COMMENT)) == 1


def losses(folder: Path) -> list[float]:
    """The losses of a training."""
    import json

    lines = (folder / TRAIN / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]
