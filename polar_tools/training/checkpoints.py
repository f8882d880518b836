"""Which checkpoint a training may go on from: the newest that was marked as whole after its last byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from polar_tools.errors import ConfigError

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

MARKER, STATE = "complete", "trainer_state.json"
NEEDED = (STATE, "optimizer.pt", "scheduler.pt")
"""Files without which a training can't go on as if it had not stopped."""


class MarkComplete(TrainerCallback):
    """Marks a checkpoint once the trainer has written all of it; a killed save stays without."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer has just written checkpoint-STEP."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / MARKER).touch()


class AlreadyFinishedError(Exception):
    """The checkpoint that was loaded is the training's last: there is no step left."""


class StopIfFinished(TrainerCallback):
    """Ends a resumed training that has no step left; transformers itself would take one step too many."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The checkpoint's weights are loaded, the first step is still to come."""
        if state.global_step >= state.max_steps:
            raise AlreadyFinishedError


def newest(folder: Path) -> Path | None:
    """The whole checkpoint of the most steps below `folder`, or None."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def to_go_on_from(config: Config, folder: Path) -> Path | None:
    """The training's own newest checkpoint, or the one that `config` names; None where it must begin anew.

    No checkpoint holds what adalora knows of its ranks, and `save_only_model` leaves out the optimizer.
    """
    if not config.is_resume or config.save_only_model or config.peft_type == "adalora":
        return None
    if (own := newest(folder)) is not None or config.resume_from_checkpoint is None:
        return own
    given = Path(config.resume_from_checkpoint)
    if missing := [name for name in NEEDED if not (given / name).is_file()]:
        raise ConfigError(f"resume_from_checkpoint: {given} is no whole checkpoint, it has no {', '.join(missing)}")
    return given


def batch_size(checkpoint: Path) -> int:
    """Rows a step, on all devices of a process, of the training that wrote a checkpoint."""
    return int(json.loads((checkpoint / STATE).read_bytes())["train_batch_size"])
