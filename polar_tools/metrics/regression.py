"""How far predicted numbers lie from those of the references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = True
SHARE = False


class Options(base.Options):
    """Which number is compared."""

    name: Literal["regression"] = "regression"
    figure: str = "score"
    """Name of the predicted number, in `figures` of predictions.jsonl."""


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`mse` and `mae`, the mean squared and the mean absolute difference from the references."""
    predicted, references = base.numbers("regression", predictions, options.figure)
    differences = [one - other for one, other in zip(predicted, references, strict=True)]
    return {
        "mse": math.fsum(difference**2 for difference in differences) / len(differences),
        "mae": math.fsum(map(abs, differences)) / len(differences),
    }
