"""Evaluations while a model trains, where memory runs out: fewer rows at a time, and the same loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import memory
from polar_tools.training import micro_batch, processes, running

if TYPE_CHECKING:
    from polar_tools.methods.base import Config


def watch(trainer: Any, config: Config, folder: Path) -> None:
    """Have `trainer` measure a dataset again with half as many rows at a time where memory ran out; `config` says how many it would be."""
    evaluate, loop = trainer.evaluate, trainer.evaluation_loop

    def smaller(*args: Any, **options: Any) -> Any:
        while True:
            rows, before = trainer.args.per_device_eval_batch_size, running.held(trainer)
            try:
                return evaluate(*args, **options)
            except Exception as error:
                if not memory.ran_out(error):
                    raise
                rows = micro_batch.halve_evaluation(config, rows, folder, error)
                if processes.count() > 1:
                    raise micro_batch.begin_again() from error
            running.restore(trainer, before)
            trainer.args.per_device_eval_batch_size = rows
            memory.free()
            memory.note("evaluating", rows)

    def looped(*args: Any, metric_key_prefix: str = "eval", **options: Any) -> Any:
        parts = config.per_device_eval_batch_size // trainer.args.per_device_eval_batch_size
        if parts == 1 or processes.count() > 1:
            return loop(*args, metric_key_prefix=metric_key_prefix, **options)
        step, seen = trainer.prediction_step, list[tuple[float, float | None]]()
        trainer.prediction_step = _noting(trainer, step, seen)
        try:
            output = loop(*args, metric_key_prefix=metric_key_prefix, **options)
        finally:
            trainer.prediction_step = step
        name = f"{metric_key_prefix}_loss"
        rows = trainer.args.per_device_eval_batch_size
        whole = {name: _mean(seen, parts, rows, output.num_samples)} if name in output.metrics and seen else {}
        return output._replace(metrics={**output.metrics, **whole})

    trainer.evaluate, trainer.evaluation_loop = smaller, looped


def _noting(trainer: Any, step: Callable[..., Any], seen: list[tuple[float, float | None]]) -> Callable[..., Any]:
    """`step`, which notes the loss of each batch, and how many tokens it is a mean over; None where it is one over rows."""

    def noted(model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        tokens = trainer._get_num_items_in_batch([inputs], trainer.args.device)
        found = step(model, inputs, *args, **options)
        if found[0] is not None:
            seen.append((float(found[0].mean()), None if tokens is None else float(tokens)))
        return found

    return noted


def _mean(seen: list[tuple[float, float | None]], parts: int, most: int, total: int) -> float:
    """The mean over rows of the losses of batches, each seen in so many `parts` of `most` rows: as transformers takes it of whole ones."""
    summed = 0.0
    for first in range(0, len(seen), parts):
        rows = [min(most, total - (first + place) * most) for place in range(len(seen[first : first + parts]))]
        batch = [(loss, count if tokens is None else tokens) for (loss, tokens), count in zip(seen[first:], rows, strict=False)]
        summed += sum(rows) * sum(loss * weight for loss, weight in batch) / sum(weight for _, weight in batch)
    return summed / total
