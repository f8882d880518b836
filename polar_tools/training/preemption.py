"""A training that is told to stop finishes its step, saves a checkpoint that is exact, and ends with status 75."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import SaveStrategy

from polar_tools import signals
from polar_tools.errors import UnfinishedError
from polar_tools.training import processes


class Preemption(TrainerCallback):
    """Looks at the end of each step whether any of the training's processes was told to stop."""

    def __init__(self) -> None:
        self.asked = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The step is taken. Where an evaluation is to decide whether it is saved, the next step is the last."""
        self.asked = processes.any_says(signals.asked() is not None, args.device)
        if self.asked and not (args.save_strategy == SaveStrategy.BEST and control.should_evaluate):
            control.should_save, args.save_only_model = True, False  # of the model alone nothing could go on

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint is whole: it may be another that just came in time."""
        if self.asked or processes.any_says(signals.asked() is not None, args.device):
            raise UnfinishedError(_told(f"step {state.global_step} of {state.max_steps} is saved"))

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation may take longer than there is time left. It can't be cut short exactly, so the last checkpoint has to do."""
        if signals.out_of_time():
            raise UnfinishedError(_told("the evaluation took too long, and is repeated from the last checkpoint on"))


def _told(what: str) -> str:
    return f"stopped by {signals.asked() or 'a signal to another process'}: {what}; run the same command again to go on"
