"""The mean of a score that a task of lm-evaluation-harness gives each of its rows, between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True
BETWEEN = "/"
"""Stands in the name of such a score between the task and what it measures, as in `arc_easy/acc`."""


class Options(base.Options):
    """Which score."""

    name: Literal["task"] = "task"
    figure: str = ""
    """`TASK/METRIC`, in `figures` of predictions.jsonl."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its score, and whether it is one of that task; raises DataError where a row of the task has no score."""
    import numpy as np

    task = options.figure.partition(BETWEEN)[0] + BETWEEN
    of_task = [any(name.startswith(task) for name in row.figures) for row in predictions]
    if not any(of_task):
        raise DataError(f"metric `task`: no row has the figure `{options.figure}`; {', '.join(scores(predictions)) or 'none'} are there")
    rows = [row for row, one in zip(predictions, of_task, strict=True) if one]
    found = iter(base.figures("task", rows, options.figure))
    return np.array([(next(found), 1.0) if one else (0.0, 0.0) for one in of_task])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """The score, by its own name."""
    return base.means(sums, options.figure)


def scores(predictions: Sequence[Prediction]) -> list[str]:
    """The scores of tasks that rows have."""
    return sorted({name for row in predictions for name in row.figures if BETWEEN in name})
