"""A training that is killed again and again ends in the very bytes of one that nobody touched."""

import contextlib
import hashlib
import random
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from polar_tools import config as configs
from polar_tools.plan import Plan
from tests import forked, learning

TRAIN = "results/say/seed0/train"
CONFIG = """\
models:
  llama: {source: file://assets/llama}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {prompt: question, completion: answer}
    split: {test_size: 12, seed: 0}
experiments:
  say:
    method: sft
    model: llama
    dataset: sayings
    eval_datasets: {held: sayings}
    max_steps: 120
    per_device_train_batch_size: 2
    gradient_accumulation_steps: 2
    learning_rate: 1.0e-2
    use_peft: true
    lora_r: 2
    lora_dropout: 0.2
    logging_steps: 7
    save_strategy: steps
    save_steps: 3
    eval_strategy: epoch
    threads: 1
    preflight: false
"""
MOMENTS = 20
FILES = ("model/adapter_model.safetensors", "metrics.jsonl", "record.json")


@pytest.fixture(scope="module")
def ready(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything but the training was made."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(assets / "assets", folder / "assets")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with contextlib.chdir(folder):
        plan = Plan(configs.load(Path("config.yaml")))
        plan.settle()
        for path, made in plan.artifacts.items():
            if made.spec.stage in ("mirror", "prepare", "tokenize"):
                learning.command(learning.COMMANDS.get(made.spec.stage, made.spec.stage), f"{path}/spec.json")
    return folder


def train(project: Path, **environment: str) -> BaseProcess:
    return forked.start("train", TRAIN, "--preflight", "off", cwd=project, output=project / "said.txt", **environment)


def finished(project: Path) -> dict[str, str]:
    """Train to the end; what was made, by its hash."""
    process = train(project)
    process.join(300)
    assert process.exitcode == 0, (project / "said.txt").read_text()
    return {name: hashlib.sha256((project / TRAIN / name).read_bytes()).hexdigest() for name in FILES}


def saves(project: Path, since: float) -> dict[str, bool]:
    """Which checkpoints were begun since then, and whether each is whole."""
    folders = (project / TRAIN / "checkpoints").glob("checkpoint-*")
    return {folder.name: (folder / "complete").exists() for folder in folders if begun(folder) > since}


def begun(file: Path) -> float:
    """When a file or folder last changed, or long ago where there is none."""
    try:
        return file.stat().st_ctime
    except FileNotFoundError:
        return 0.0


def kill(process: BaseProcess, project: Path, moment: int, chance: random.Random) -> bool:
    """Kill at a moment by chance: while it loads, among the steps, or inside a save; whether a checkpoint was being written."""
    began, kind, delay = time.time(), moment % 4, chance.uniform(0.0, 0.5)
    wanted, within, seen = chance.randint(1, 3), chance.uniform(0.0, 0.01), set[str]()
    while process.is_alive() and time.time() - began < 120:
        training, written = begun(project / TRAIN / "metrics.jsonl"), saves(project, began)
        seen |= set(written)
        if kind == 0 and time.time() - began > delay:
            break
        if kind == 1 and training > began and time.time() - training > delay:
            break
        if kind > 1 and not all(written.values()) and len(seen) >= wanted:
            time.sleep(within)
            break
        time.sleep(0.0005)
    process.kill()
    process.join()
    return not all(saves(project, began).values())


@pytest.fixture(scope="module")
def untouched(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = Path(shutil.copytree(ready, tmp_path_factory.mktemp("untouched") / "project"))
    return finished(project)


@pytest.mark.slow
def test_twenty_kills_change_nothing(ready: Path, untouched: dict[str, str], tmp_path: Path) -> None:
    chance, project, while_saving = random.Random(0), Path(shutil.copytree(ready, tmp_path / "project")), 0
    for moment in range(MOMENTS):
        process = train(project)
        while_saving += kill(process, project, moment, chance)
        assert process.exitcode == -signal.SIGKILL, f"moment {moment}: it ended by itself\n{(project / 'said.txt').read_text()}"
        assert not (project / TRAIN / "manifest.json").exists()
    assert finished(project) == untouched
    said = (project / "said.txt").read_text()
    print(f"{while_saving} kills while a checkpoint was being written; gone on {said.count('going on from')} times")
    assert while_saving >= 4
    assert said.count("going on from") >= 5
