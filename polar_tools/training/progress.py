"""How far a training is: a bar for whoever watches it at a terminal, plain lines in a log, and a word left for `polar-tools status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from polar_tools import advancement
from polar_tools.advancement import Advancement

PAUSE = 2.0
"""Seconds between two words left for `polar-tools status`."""


def say(line: str) -> None:
    """Print a line, above a bar where there is one."""
    if sys.stderr.isatty():
        tqdm.write(line)
    else:
        print(line, flush=True)


@contextmanager
def shown(trainer: Any, folder: Path) -> Iterator[None]:
    """While `trainer` trains, leave word in `folder` of how far it is, and show it if anybody is there to see it."""
    if not trainer.is_world_process_zero():
        yield
        return
    bar = _Bar(folder)
    trainer.add_callback(bar)
    step = trainer.training_step

    def counted(model: Any, inputs: Any, *further: Any, **named: Any) -> Any:
        bar.tokens += _tokens(inputs)
        return step(model, inputs, *further, **named)

    trainer.training_step = counted
    try:
        yield
    finally:
        trainer.training_step = step
        trainer.remove_callback(bar)
        bar.close()


class _Bar(TrainerCallback):
    def __init__(self, folder: Path) -> None:
        self.folder, self.tokens, self.steps, self.began, self.noted, self.loss = folder, 0, 0, time.monotonic(), 0.0, ""
        self.bar: tqdm[Any] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A resumed training begins where it was."""
        if sys.stderr.isatty():
            done, steps = state.global_step, state.max_steps
            self.bar = tqdm(total=steps, initial=done, unit="step", dynamic_ncols=True, file=sys.stderr, disable=False)
        self.began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One more."""
        self.steps += 1
        now = time.monotonic()
        rate = self.tokens / max(now - self.began, 1e-9)
        if now - self.noted > PAUSE:
            left = (now - self.began) / self.steps * (state.max_steps - state.global_step)
            told = Advancement(state.global_step, state.max_steps, "step", round(rate, 1) or None, round(left, 1))
            advancement.note(self.folder, told)
            self.noted = now
        if self.bar is not None:
            said = [f"loss {self.loss}" if self.loss else "", f"{rate:,.0f} tokens/s" if self.tokens else ""]
            self.bar.set_postfix_str(", ".join(part for part in said if part), refresh=False)
            self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        """What is logged is shown until the next line."""
        if logs and "loss" in logs:
            self.loss = f"{logs['loss']:.4f}"

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()


def _tokens(inputs: Any) -> int:
    """Tokens of a batch, without what fills it up; 0 where it holds none yet, as where a model is to write them."""
    if not isinstance(inputs, Mapping):
        return 0
    masks = [value for name, value in inputs.items() if name.endswith("attention_mask")]
    ids = [value for name, value in inputs.items() if name.endswith("input_ids")]
    return sum(int(mask.sum()) for mask in masks) if masks else sum(one.numel() for one in ids)
