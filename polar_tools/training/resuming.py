"""From which checkpoint a training goes on: the newest that is whole and its own. Others are moved out of the way, and the log says why."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from polar_tools import aside
from polar_tools.errors import ConfigError, DataError
from polar_tools.records import read_json, sha256_of
from polar_tools.training import allocation, checkpoints
from polar_tools.training.checkpoints import MARKER, Origin

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
"""Files without which a training can't go on as if it had not stopped; looked for in checkpoints that others wrote."""


class AlreadyFinishedError(Exception):
    """The checkpoint that was loaded is the training's last: there is no step left."""


class StopIfFinished(TrainerCallback):
    """Ends a resumed training that has no step left; transformers itself would take one step too many."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The checkpoint's weights are loaded, the first step is still to come."""
        if state.global_step >= state.max_steps:
            raise AlreadyFinishedError


class Reschedule(TrainerCallback):
    """Lets a training that goes on from a shorter one begin with the learning rate of its own schedule."""

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **kwargs: Any) -> None:
        """The optimizer holds the rate with which the shorter one ended, often 0. Schedules that look at evaluations have no other."""
        if not isinstance(lr_scheduler, LambdaLR):
            return
        rates = [rate * make(state.global_step) for rate, make in zip(lr_scheduler.base_lrs, lr_scheduler.lr_lambdas, strict=True)]
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        lr_scheduler._last_lr = rates  # what is logged


def found(config: Config, folder: Path, origin: Origin) -> tuple[Path | None, Origin]:
    """The checkpoint to go on from, or None where the training begins anew; and its origin, with the shorter trainings that came before.

    `folder` is the artifact's. Looked at are its own checkpoints; then, under `extend_training`, those of a shorter training that were set
    aside; then the one that `config` names. Raises ConfigError or DataError where that isn't whole.
    """
    if not config.is_resume:
        for path in checkpoints.all_in(folder / "checkpoints"):
            shutil.rmtree(path)
        return None, origin
    if (own := _own(folder, origin)) is not None:
        before = (read_json(own / MARKER) or {})["went_on_from"]
        return own, replace(origin, went_on_from=tuple(before))
    if config.extend_training and (shorter := _shorter(aside.of(folder) / "checkpoints", origin)) is not None:
        return shorter, replace(origin, went_on_from=_history(shorter))
    if config.resume_from_checkpoint is not None:
        ranks = (allocation.FILE,) if config.peft_type == "adalora" else ()
        return _given(Path(config.resume_from_checkpoint), (*NEEDED, *ranks)), origin
    return None, origin


def _own(folder: Path, origin: Origin) -> Path | None:
    """The newest whole checkpoint of this very training."""
    for path in checkpoints.all_in(folder / "checkpoints"):
        marker = read_json(path / MARKER)
        if marker is None:
            print(f"{path} was never finished, and is removed", flush=True)
            shutil.rmtree(path)
        elif marker["made_from"] != origin.made_from:
            _put_aside(path, folder, "is of a training with another spec, other data or another model")
        elif (fault := checkpoints.fault(path)) is not None:
            _put_aside(path, folder, f"is damaged: {fault}")
        elif marker["exact"]:
            return path
        else:  # of the model alone: it would count among those that this training is about to write
            shutil.rmtree(path)
    return None


def _put_aside(path: Path, folder: Path, why: str) -> None:
    place = aside.of(folder) / "unusable" / path.name
    print(f"{path} {why}; it isn't used, and lies in {place} now", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)


def _shorter(folder: Path, origin: Origin) -> Path | None:
    """The newest whole checkpoint of a training that differs only in how long it was."""
    for path in checkpoints.all_in(folder):
        marker = read_json(path / MARKER)
        if marker is None or not marker["exact"] or marker["course"] != origin.course:
            continue
        if (fault := checkpoints.fault(path)) is None:
            return path
        print(f"{path} is damaged: {fault}; it isn't used", flush=True)
    return None


def _history(shorter: Path) -> tuple[dict[str, Any], ...]:
    marker = read_json(shorter / MARKER) or {}
    length = {name: value for name, value in marker["length"].items() if name != "extend_training"}
    last = {**length, "step": checkpoints.step_of(shorter), "checkpoint": sha256_of(shorter / MARKER)}
    return (*marker["went_on_from"], last)


def _given(path: Path, needed: Sequence[str]) -> Path:
    """The checkpoint that the config names, which may be another program's."""
    marker = read_json(path / MARKER)
    if marker is None and (missing := [name for name in needed if not (path / name).is_file()]):
        raise ConfigError(f"resume_from_checkpoint: {path} is no whole checkpoint, it has no {', '.join(missing)}")
    if marker is not None and (fault := checkpoints.fault(path)) is not None:
        raise DataError(f"resume_from_checkpoint: {path} is damaged: {fault}; name another checkpoint")
    if marker is not None and not marker["exact"]:
        raise ConfigError(f"resume_from_checkpoint: {path} holds the model alone (save_only_model), and nothing goes on from that")
    return path
