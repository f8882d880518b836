"""A loss that is no number ends a training at once: no step is taken on it, and no checkpoint is written of what it would make."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback

from polar_tools.errors import WorldError
from polar_tools.training import checkpoints

SHOWN = 8
"""Rows that are named."""


def watch(trainer: Any) -> None:
    """Let `trainer` look at each loss before it is used. Every trainer calls `training_step`, and no callback sees a loss."""
    step, seen = trainer.training_step, _Place()

    def training_step(model: Any, inputs: Any, *further: Any, **named: Any) -> Any:
        loss = step(model, inputs, *further, **named)
        batch = seen.next(trainer.state.global_step)
        if not bool(torch.isfinite(loss).all()):
            rows = _rows(inputs, trainer.train_dataset)
            what = f"batch {batch} of it{rows}" if trainer.args.gradient_accumulation_steps > 1 else f"its batch{rows}"
            raise WorldError(f"the loss became {float(loss.sum())} in step {trainer.state.global_step + 1}, {what}. {_advice(trainer)}")
        return loss

    trainer.training_step = training_step


class _Place:
    """Counts the batches of a step."""

    def __init__(self) -> None:
        self.step, self.batch = -1, 0

    def next(self, step: int) -> int:
        self.batch = self.batch + 1 if step == self.step else 1
        self.step = step
        return self.batch


class RefuseBroken(TrainerCallback):
    """Ends the training before weights that are no numbers are saved, and where an evaluation's loss is none."""

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """The step was taken, its checkpoint is not yet written."""
        if control.should_save:
            _refuse_broken(args, state, model)

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """As at the end of a step."""
        if control.should_save:
            _refuse_broken(args, state, model)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:
        """An evaluation may ask for a checkpoint too."""
        for name, value in metrics.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise WorldError(f"{name} became {value} after step {state.global_step}. {_kept(args.output_dir)}")


def _refuse_broken(args: Any, state: Any, model: Any) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not all(bool(torch.isfinite(parameter).all()) for parameter in trained):
        raise WorldError(
            f"weights became NaN or infinite in step {state.global_step}; they aren't saved. Lower learning_rate or max_grad_norm. "
            f"{_kept(args.output_dir)}"
        )


def _advice(trainer: Any) -> str:
    halves = "bf16 or float32 instead of fp16" if trainer.args.fp16 else "`dtype: float32`"
    what = f"Look at these rows, lower learning_rate or max_grad_norm, lengthen warmup_steps, or try {halves}"
    return f"{what}. {_kept(trainer.args.output_dir)}"


def _kept(folder: str) -> str:
    good = checkpoints.newest(Path(folder))
    return "No checkpoint was written yet" if good is None else f"The last good checkpoint is {good}"


def _rows(inputs: Any, dataset: Any) -> str:
    """Which rows of `dataset` are in a batch, where its token ids tell."""
    ids = _token_ids(inputs)
    if not ids or not isinstance(dataset, Dataset) or "input_ids" not in dataset.column_names:
        return ""
    wanted = {tuple(row) for row in ids}
    places = [place for place, row in enumerate(dataset["input_ids"]) if tuple(row) in wanted]
    shown = ", ".join(str(place + 1) for place in places[:SHOWN])
    return f" (training rows {shown}{', ...' if len(places) > SHOWN else ''}, counted from 1)" if places else ""


def _token_ids(inputs: Any) -> Sequence[list[int]]:
    """The rows of a batch without padding, or as they lie behind each other."""
    if not isinstance(inputs, Mapping) or "input_ids" not in inputs:
        return []
    if "attention_mask" not in inputs:
        ids, places = inputs["input_ids"][0].tolist(), inputs["position_ids"][0].tolist() if "position_ids" in inputs else []
        starts = [start for start, place in enumerate(places) if place == 0]
        return [ids[start:end] for start, end in itertools.pairwise([*starts, len(ids)])]
    pairs = zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True)
    return [[number for number, there in zip(ids, mask, strict=True) if there] for ids, mask in pairs]
