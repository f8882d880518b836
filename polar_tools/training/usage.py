"""What a training used: memory and time, for manifests, from which later plans are corrected."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback

from polar_tools import consumption


class Usage(TrainerCallback):
    """Looks at clock and memory while a trainer takes its steps. What it finds differs from run to run."""

    def __init__(self, sharing: int = 1) -> None:
        self.sharing = sharing
        """Processes that train on the same rows."""
        self.before = consumption.peak_mb()
        self.separate = consumption.forget_peak()
        self._clock = self._first = 0.0
        self.seconds = self.steady = 0.0
        self.steps = self.rows = self._begun = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """No step is taken yet, or those of a checkpoint."""
        import torch

        self._clock, self._begun = time.monotonic(), state.global_step
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One more step."""
        now = time.monotonic()
        self.steps = state.global_step - self._begun
        self.rows = self.steps * args.train_batch_size * args.gradient_accumulation_steps * args.world_size // self.sharing
        if self.steps == 1:
            self._first = now
        self.seconds, self.steady = now - self._clock, now - self._first

    def measured(self) -> dict[str, Any]:
        """`training`: steps taken, rows, seconds, those of a step after the first, and the peak of this process since the trainer was made.

        `peak_memory_mb` is that of the whole process, with its preflight.
        """
        import torch

        peak = consumption.peak_mb()
        found: dict[str, Any] = {"steps": self.steps, "rows": self.rows, "seconds": round(self.seconds, 3)}
        if self.steps > 1:
            found["seconds_a_step"] = round(self.steady / (self.steps - 1), 4)
        if self.separate:
            found["peak_memory_mb"] = peak
        if torch.cuda.is_available():
            found["peak_device_memory_mb"] = torch.cuda.max_memory_allocated() // 2**20
            found["device_memory_mb"] = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory // 2**20
        return {"peak_memory_mb": max(self.before, peak), "training": found}


def of(trainer: Any) -> Usage:
    """What looked on while `trainer` trained."""
    return next(callback for callback in trainer.callback_handler.callbacks if isinstance(callback, Usage))
