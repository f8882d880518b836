"""Which checkpoint a training may go on from: the newest that was marked as whole after its last byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

MARKER = "complete"


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
