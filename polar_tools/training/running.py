"""What a trainer holds between two steps, but no checkpoint of transformers: sums for the next line of the log, and what was written ahead.

Without it the line after an interruption would tell of fewer steps than that of a training that nobody touched.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

NAMES = (
    *("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged"),  # transformers: the loss since the last line
    *("_metrics", "_stored_metrics", "_total_train_tokens"),  # trl
    *("_step", "_buffered_inputs"),  # trl's GRPO and RLOO: completions that several steps learn from
    "_figures",  # our PPO
)
"""Names by which trainers hold it; each trainer has some of them."""
PER_BATCH = ("_step", "_buffered_inputs")
"""Those that count batches: of no use to a training whose batches are smaller."""


def held(trainer: Any) -> dict[str, Any]:
    """A copy of what `trainer` holds now, of plain dictionaries, lists, numbers and tensors."""
    return {name: _plain(copy.deepcopy(vars(trainer)[name])) for name in NAMES if name in vars(trainer)}


def restore(trainer: Any, kept: dict[str, Any]) -> None:
    """Have `trainer` hold again what `held` copied."""
    for name, value in kept.items():
        vars(trainer)[name] = _like(vars(trainer)[name], value)


class Running(TrainerCallback):
    """Gives a training that goes on from a checkpoint what the trainer held when it was written."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.checkpoint: Path | None = None

    def save(self, folder: Path) -> None:
        """Write this process's part into a checkpoint."""
        torch.save({**held(self.trainer), "rows": self.trainer.args.per_device_train_batch_size}, self._file(folder))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer has just set all of it to nothing."""
        if self.checkpoint is None or not (file := self._file(self.checkpoint)).is_file():
            return
        place = "cpu" if args.device.type == "cpu" else args.device  # one of several processes calls it cpu:1, which can't be loaded to
        kept = torch.load(file, map_location=place, weights_only=True)
        smaller = kept.pop("rows") != args.per_device_train_batch_size
        restore(self.trainer, {name: value for name, value in kept.items() if not (smaller and name in PER_BATCH)})

    def _file(self, folder: Path) -> Path:
        return folder / f"running-{self.trainer.args.process_index}.pt"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(below) for name, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list | tuple) else value


def _like(there: Any, value: Any) -> Any:
    """`value` in dictionaries that make what isn't there as those of `there` do."""
    if not isinstance(there, dict):
        return value.to(there.device) if isinstance(there, torch.Tensor) else value
    made = copy.copy(there)
    made.clear()
    factory = there.default_factory if isinstance(there, defaultdict) else None
    for name, below in value.items():
        made[name] = _like(there[name] if name in there else factory and factory(), below)
    return made
