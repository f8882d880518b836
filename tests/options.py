"""Two tiny experiments, rendered once, whose options a test sets as it likes before it builds their trainer or trains."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config as configs
from polar_tools.plan import Plan
from polar_tools.specs import TrainSpec, thaw
from polar_tools.stages import train
from polar_tools.training import session
from tests import learning

CONFIG = """\
models:
  llama: {source: file://assets/llama}
  bert: {source: file://assets/bert}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {prompt: question, completion: answer}
    split: {test_size: 12, seed: 0}
  others: {source: sayings, columns: {prompt: question, completion: answer}, split: {test_size: 6, seed: 1}}
  kinds: {source: sayings, columns: {text: answer, label: kind}, split: {test_size: 12, stratify: label, seed: 0}}
experiments:
  say: {method: sft, model: llama, dataset: sayings, eval_datasets: {here: sayings, there: others}, do_eval: true, threads: 1}
  alone: {method: sft, model: llama, dataset: sayings, eval_datasets: {here: sayings}, do_eval: true, threads: 1}
  sort: {method: classification, model: bert, dataset: kinds, threads: 1}
"""
QUICK = {"max_steps": 2, "per_device_train_batch_size": 2, "logging_steps": 1, "learning_rate": 1e-2}


def render(folder: Path, assets: Path, config: str = CONFIG) -> None:
    """All that comes before a training, in `folder`."""
    shutil.copytree(assets / "assets", folder / "assets")
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    with contextlib.chdir(folder):
        plan = Plan(configs.load(Path("config.yaml")))
        plan.settle()
        for path, made in plan.artifacts.items():
            if made.spec.stage not in ("train", "evaluate", "report"):
                learning.command(learning.COMMANDS.get(made.spec.stage, made.spec.stage), f"{path}/spec.json")


def spec(experiment: str = "say", **fields: Any) -> TrainSpec:
    """What train is told of an experiment with other fields, checked as those of a config are."""
    made = thaw(Path(f"results/{experiment}/seed0/train/spec.json").read_bytes(), "spec.json")
    assert isinstance(made, TrainSpec)
    told = {**made.experiment.model_dump(), "do_eval": False}
    return made.model_copy(update={"experiment": type(made.experiment).model_validate({**told, **fields})})


def trainer(folder: Path, experiment: str = "say", **fields: Any) -> Any:
    """The trainer of an experiment with these fields, not yet started."""
    told = spec(experiment, **fields)
    return session._build(told, told.experiment, folder)


def trained(folder: Path, experiment: str = "say", **fields: Any) -> dict[str, Any]:
    """Train in `folder`; gives what is recorded of it."""
    folder.mkdir(exist_ok=True)
    return train.run(spec(experiment, **{**QUICK, **fields}), folder, preflight=False).recorded


def refused(message: str) -> Any:
    """Expects what a person reads where fields make no sense together."""
    return pytest.raises(ValueError, match=message)


def alone(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a process of its own, and what it said."""
    root = str(Path(__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": root, **environment}
    return subprocess.run([sys.executable, "-c", program, *words], env=env, capture_output=True, text=True, check=False, timeout=60)
