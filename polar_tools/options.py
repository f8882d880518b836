"""What several commands take, and what they do with it: a stage on its spec."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

ONLINE = {"mirror"}
"""Stages that reach out; all others work where there is no network, and must not notice one."""

REPEATABLE = {"MKL_CBWR": "AUTO,STRICT", "MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What numeric libraries read when they are loaded: the same sums in the same order, whatever else the machine does."""

Decorated = Callable[..., Any]


def spec_argument(required: bool = True) -> Callable[[Decorated], Decorated]:
    """The argument SPEC: a spec.json, or the folder in which it lies."""
    return click.argument("spec", required=required, type=click.Path(path_type=Path))


def set_up(stage: str) -> None:
    """What libraries read in this process, before any of them is imported."""
    gc.enable()
    os.environ.update(REPEATABLE)
    if stage not in ONLINE:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for a terminal; in a log they are noise


def folder_of(spec: Path) -> Path:
    """The folder of an artifact, by itself or by its spec.json."""
    return spec.parent if spec.name == "spec.json" else spec


def run_stage(stage: str, spec: Path, **how: Any) -> None:
    """Make the artifact of `spec` and say in one line what happened; `how` goes to the stage, and changes nothing of what is made."""
    import importlib
    import time

    from polar_tools import artifact

    set_up(stage)
    folder = folder_of(spec)
    clock = time.monotonic()

    def module() -> ModuleType:
        return importlib.import_module(f"polar_tools.stages.{stage}")

    worked = artifact.make(folder, stage, lambda *told: module().run(*told, **how), lambda: module().LIBRARIES)
    click.echo(f"{folder}: {f'made in {time.monotonic() - clock:.1f} s' if worked else 'up to date'}")
