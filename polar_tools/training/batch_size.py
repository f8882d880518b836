"""A smaller batch where memory ran out, as if it had been asked for from the start."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class SmallerBatchError(Exception):
    """Memory ran out; the training is to begin again with `rows` a device and step."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"memory allows only {rows} rows a device and step")
        self.rows = rows


class BeginAgain(TrainerCallback):
    """transformers tries a smaller batch on with a model that may have taken steps already. A second beginning is refused instead."""

    def __init__(self) -> None:
        self.begun = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The batch size is in `state`, no step is taken yet."""
        if self.begun:
            raise SmallerBatchError(state.train_batch_size)
        self.begun = True
