"""A job that is killed leaves nothing that counts as done, and the same command then finishes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny import inside, run

TRAIN = "results/say/seed0/train"


@pytest.fixture
def long_training(project: Path) -> Path:
    """A finished project whose training now has to run for a few hundred steps more."""
    config = project / "config" / "config.yaml"
    config.write_text(
        config.read_text(encoding="utf-8").replace(
            "max_steps: 4\n    per_device_train_batch_size: 4\n    learning_rate: 1.0e-2\n    use_peft",
            "max_steps: 60\n    per_device_train_batch_size: 4\n    learning_rate: 1.0e-2\n    use_peft",
        ),
        encoding="utf-8",
    )
    assert run("snakemake", "-n", cwd=project).returncode == 0
    return project


def kill_after_checkpoint(project: Path, step: int) -> None:
    """Start the training and kill it, with all that it started, once it has marked the checkpoint of `step`."""
    command = [str(Path(sys.executable).parent / "polar-tools"), "train", f"{TRAIN}/spec.json"]
    job = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (project / TRAIN / "checkpoints" / f"checkpoint-{step}" / "complete").is_file():
        assert job.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()


@pytest.mark.slow
def test_killed_training_leaves_no_manifest_and_goes_on(long_training: Path) -> None:
    project = long_training
    kill_after_checkpoint(project, 10)
    assert not (project / TRAIN / "manifest.json").exists()
    assert not (project / TRAIN / "record.json").exists()

    done = run("polar-tools", "train", f"{TRAIN}/spec.json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout
    assert run("polar-tools", "verify", TRAIN, cwd=project).returncode == 0
    resumed = (project / TRAIN / "record.json").read_bytes()

    for name in ("manifest.json", "record.json"):
        (project / TRAIN / name).unlink()
    undisturbed = run("polar-tools", "train", f"{TRAIN}/spec.json", cwd=project)
    assert "going on from" not in undisturbed.stdout
    assert (project / TRAIN / "record.json").read_bytes() == resumed


@pytest.mark.parametrize("also", [(), (".manifest.json",)], ids=["as Snakemake does", "of an earlier version"])
def test_finished_training_whose_manifest_was_removed_is_what_it_was(project: Path, also: tuple[str, ...]) -> None:
    before = json.loads((project / TRAIN / "manifest.json").read_bytes())
    for name in ("manifest.json", *also):
        (project / TRAIN / name).unlink()
    done = inside("train", f"{TRAIN}/spec.json", cwd=project)
    assert (done.returncode, "up to date" in done.stdout) == (0, True), done.stderr
    after = json.loads((project / TRAIN / "manifest.json").read_bytes())
    assert after == (before if not also else {name: before[name] for name in ("files", "local_files", "record")})
    checked = inside("verify", TRAIN, cwd=project)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_checkpoint_without_its_mark_is_not_resumed(long_training: Path) -> None:
    project = long_training
    kill_after_checkpoint(project, 10)
    for marker in (project / TRAIN / "checkpoints").glob("*/complete"):
        marker.unlink()
    done = run("polar-tools", "train", f"{TRAIN}/spec.json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "going on from" not in done.stdout


@pytest.mark.slow
def test_checkpoints_of_another_spec_are_set_aside(long_training: Path) -> None:
    project = long_training
    kill_after_checkpoint(project, 10)
    config = project / "config" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("lora_r: 2", "lora_r: 4"), encoding="utf-8")
    done = run("snakemake", cwd=project)
    assert done.returncode == 0, done.stderr
    log = (project / "logs/say/seed0/train.log").read_text(encoding="utf-8")
    assert "going on from" not in log
    assert list((project / "results/say/seed0/.train.aside/checkpoints").iterdir())


def test_killed_snakemake_finishes_with_the_same_command(fresh: Path) -> None:
    command = [str(Path(sys.executable).parent / "snakemake"), "results/datasets/kinds/manifest.json"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    job = subprocess.Popen(
        command, cwd=fresh, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    prepared = fresh / "results/datasets/kinds"
    while not (prepared / ".work.json").exists() and not (prepared / "manifest.json").exists():
        assert job.poll() is None
        time.sleep(0.005)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not (prepared / "manifest.json").exists()
    run("snakemake", "--unlock", cwd=fresh)
    done = run("snakemake", "results/datasets/kinds/manifest.json", cwd=fresh)
    assert done.returncode == 0, done.stderr
    assert run("polar-tools", "verify", "results/datasets/kinds", cwd=fresh).returncode == 0
