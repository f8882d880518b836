"""What AutoTrain's last release says of itself: its argument parser, its parameters and its backends, out of its own wheel.

Its dependencies are years old and are not installed. What its parser is made of needs pydantic alone; every other library that its files
import is stood in for by an empty module, in a process of its own. `python -m tests.autotrain_itself FOLDER` is that process.
"""

import argparse
import importlib
import json
import subprocess
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from tests.tiny import REPOSITORY, run

SOURCE = "pypi://autotrain-advanced==0.8.36/autotrain"
SHA256 = "03e5400bce4fb4c0a14114cdf2e1b4614e44b8949ec9ecf17eaccb9e61da0a06"
STOOD_IN = ("accelerate", "huggingface_hub", "loguru", "requests", "torch", "transformers", "autotrain.project")
TASKS = {
    "text_multi_class_classification": "text_classification.params.TextClassificationParams",
    "text_single_column_regression": "text_regression.params.TextRegressionParams",
    "seq2seq": "seq2seq.params.Seq2SeqParams",
    "sentence_transformers": "sent_transformers.params.SentenceTransformersParams",
}


def fetch(folder: Path) -> None:
    """The package `autotrain` into `folder`, by our own copy from the package index that pip is configured for."""
    there = folder / "autotrain"
    done = run("polar-tools", "pull-push", "--source", SOURCE, "--sha256", SHA256, "--target", str(there), cwd=REPOSITORY)
    assert done.returncode == 0, f"the package index must have autotrain-advanced 0.8.36: {done.stderr}"


def told(folder: Path) -> dict[str, Any]:
    """What the AutoTrain in `folder` says; see `main`."""
    done = subprocess.run([sys.executable, "-m", __name__, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _StandIns(MetaPathFinder, Loader):
    """Empty modules in place of libraries."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return (
            ModuleSpec(name, self, is_package=True) if name.startswith(tuple(f"{one}." for one in STOOD_IN)) or name in STOOD_IN else None
        )

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module  # type: ignore[return-value]

    def exec_module(self, module: ModuleType) -> None:
        pass


def main(folder: str) -> None:
    """Print, as JSON, every option of `autotrain llm`, the parameters of the tasks with their defaults, and the names of backends."""
    sys.meta_path.insert(0, _StandIns())
    sys.path.insert(0, folder)
    from autotrain.backends.base import AVAILABLE_HARDWARE
    from autotrain.cli.run_llm import RunAutoTrainLLMCommand
    from autotrain.trainers.clm.params import LLMTrainingParams

    commands = argparse.ArgumentParser().add_subparsers()
    RunAutoTrainLLMCommand.register_subcommand(commands)
    actions = [action for action in commands.choices["llm"]._actions if action.dest != "help"]
    classes = {task: _class(name) for task, name in TASKS.items()}
    found = {
        "options": {
            action.dest: {"spellings": action.option_strings, "default": action.default, "flag": action.nargs == 0} for action in actions
        },
        "parameters": _defaults(LLMTrainingParams),
        "tasks": {task: _defaults(kind) for task, kind in classes.items()},
        "backends": sorted(AVAILABLE_HARDWARE),
    }
    print(json.dumps(found))


def _class(name: str) -> Any:
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(f"autotrain.trainers.{module}"), kind)


def _defaults(kind: Any) -> dict[str, Any]:
    return {name: field.default for name, field in kind.model_fields.items()}


if __name__ == "__main__":
    main(sys.argv[1])
