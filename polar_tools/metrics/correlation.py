"""Whether predicted numbers rise and fall with those of the references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = False


class Options(base.Options):
    """Which number is compared."""

    name: Literal["correlation"] = "correlation"
    figure: str = "score"
    """Name of the predicted number, in `figures` of predictions.jsonl."""


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`pearson`, of the numbers, and `spearman`, of their ranks, between -1 and 1; 0 where one side is the same in all rows."""
    predicted, references = base.numbers("correlation", predictions, options.figure)
    return {"pearson": _pearson(predicted, references), "spearman": _pearson(_ranks(predicted), _ranks(references))}


def _ranks(values: Sequence[float]) -> Sequence[float]:
    """The place of each number among all; equal ones share the mean of theirs."""
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: list[float] = (np.cumsum(counts) - (counts - 1) / 2)[places].tolist()
    return ranks


def _pearson(ones: Sequence[float], others: Sequence[float]) -> float:
    import numpy as np

    if np.ptp(ones) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.corrcoef(ones, others)[0, 1])
