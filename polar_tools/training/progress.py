"""A bar for whoever watches a training at a terminal: steps, time left, the loss, tokens a second. In a log there are plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback


def say(line: str) -> None:
    """Print a line, above a bar where there is one."""
    if sys.stderr.isatty():
        tqdm.write(line)
    else:
        print(line, flush=True)


@contextmanager
def shown(trainer: Any) -> Iterator[None]:
    """While `trainer` trains, show how far it is, if anybody is there to see it."""
    if not (sys.stderr.isatty() and trainer.is_world_process_zero()):
        yield
        return
    bar = _Bar()
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
    def __init__(self) -> None:
        self.tokens, self.began, self.loss = 0, time.monotonic(), ""
        self.bar: tqdm[Any] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A resumed training begins where it was."""
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True, file=sys.stderr, disable=False)
        self.began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One more."""
        if self.bar is not None:
            rate = self.tokens / max(time.monotonic() - self.began, 1e-9)
            told = [f"loss {self.loss}" if self.loss else "", f"{rate:,.0f} tokens/s" if self.tokens else ""]
            self.bar.set_postfix_str(", ".join(part for part in told if part), refresh=False)
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
