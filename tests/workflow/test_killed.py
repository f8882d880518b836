"""A training that is killed again and again ends in the very bytes of one that nobody touched."""

import contextlib
import hashlib
import json
import math
import os
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
        learning.make("config.yaml", learning.BEFORE_TRAINING)
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
    wanted, within, seen, training = chance.randint(1, 3), chance.uniform(0.0, 0.01), set[str](), math.inf
    while process.is_alive() and time.time() - began < 120:
        written = saves(project, began)
        if training == math.inf and begun(project / TRAIN / "metrics.jsonl") > began:
            training = time.time()
        seen |= set(written)
        if kind == 0 and time.time() - began > delay:
            break
        if kind == 1 and time.time() - training > delay:
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


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_command_that_is_told_to_stop_says_so_with_75_and_goes_on(
    number: signal.Signals, ready: Path, untouched: dict[str, str], tmp_path: Path
) -> None:
    project = Path(shutil.copytree(ready, tmp_path / "project"))
    process = train(project)
    wait_for(process, project / TRAIN / ".lock")
    os.kill(process.pid or 0, number)  # while it loads
    process.join(60)
    assert process.exitcode == 75
    assert f"stopped by {number.name}; nothing unfinished counts as done" in (project / "said.txt").read_text()
    process = train(project)
    wait_for(process, project / TRAIN / "checkpoints/checkpoint-3/complete")
    os.kill(process.pid or 0, number)
    process.join(60)
    assert process.exitcode == 75
    assert f"error: stopped by {number.name}: step " in (project / "said.txt").read_text()
    assert not (project / TRAIN / ".lock").exists()
    assert finished(project) == untouched


def wait_for(process: BaseProcess, file: Path) -> None:
    began = time.monotonic()
    while not file.exists():
        assert process.is_alive() and time.monotonic() - began < 120
        time.sleep(0.002)


@pytest.mark.slow
def test_ctrl_c_saves_too(ready: Path, untouched: dict[str, str], tmp_path: Path) -> None:
    project = Path(shutil.copytree(ready, tmp_path / "project"))
    process = train(project)
    wait_for(process, project / TRAIN / ".lock")
    os.kill(process.pid or 0, signal.SIGINT)  # while it loads
    process.join(60)
    assert process.exitcode == 130
    process = train(project)
    wait_for(process, project / TRAIN / "checkpoints/checkpoint-3/complete")
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 75
    assert "SIGINT: finishing this step, then saving" in (project / "said.txt").read_text()
    assert finished(project) == untouched


@pytest.mark.slow
def test_preflight_is_ended_at_once(ready: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(ready, tmp_path / "project"))
    process = forked.start("train", TRAIN, cwd=project, output=project / "said.txt")
    wait_for(process, project / TRAIN / "train.log")
    time.sleep(0.5)
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 75
    assert not (project / TRAIN / "checkpoints").exists()


@pytest.mark.slow
def test_processes_that_train_together_stop_together_and_go_on_exactly(ready: Path, tmp_path: Path) -> None:
    projects = [Path(shutil.copytree(ready, tmp_path / name)) for name in ("untouched", "stopped")]
    for project in projects:
        text = CONFIG.replace("    threads: 1\n", "    threads: 1\n    nproc_per_node: 2\n").replace("max_steps: 120", "max_steps: 30")
        (project / "config.yaml").write_text(text, encoding="utf-8")
        with contextlib.chdir(project):
            Plan(configs.load(Path("config.yaml"))).settle()
    wanted = finished(projects[0])
    process = train(projects[1])
    wait_for(process, projects[1] / TRAIN / "checkpoints/checkpoint-3/complete")
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(120)
    said = (projects[1] / "said.txt").read_text()
    assert process.exitcode == 75, said
    assert "is saved; run the same command again to go on" in said
    assert finished(projects[1]) == wanted


WIDTH, SPARE = 80_000, 800 * 2**20
"""The width of a feed-forward layer whose activations for 32 rows take more than so many bytes."""


def train_in_little_memory(project: str) -> None:
    """Train on 32 rows at a time, in an address space that is hardly larger than what is in use."""
    import resource

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from polar_tools.specs import TrainSpec, thaw
    from polar_tools.training import session

    os.chdir(project)
    torch.set_num_threads(1)
    spec = thaw(Path(f"{TRAIN}/spec.json").read_bytes(), "spec.json")
    assert isinstance(spec, TrainSpec)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=400, hidden_size=32, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained("large")
    more = {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 1, "max_steps": 2, "model": "large", "eval_strategy": "no"}
    spec = spec.model_copy(update={"experiment": spec.experiment.model_copy(update={**more, "eval_datasets": {}})})
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, resource.RLIM_INFINITY))
    recorded, measured = session.run(spec, Path("little"))
    Path("found.json").write_text(json.dumps({"steps": recorded["steps"], **measured["memory_ran_out"]["went_on_with"]}))


@pytest.mark.slow
def test_memory_of_the_machine_that_runs_out_halves_the_batch(ready: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(ready, tmp_path / "project"))
    (project / "little").mkdir()
    process = forked.started(train_in_little_memory, str(project))
    process.join(300)
    found = json.loads((project / "found.json").read_bytes())
    assert found["steps"] == 2
    assert found["per_device_train_batch_size"] < 32
    assert found["per_device_train_batch_size"] * found["gradient_accumulation_steps"] == 32
