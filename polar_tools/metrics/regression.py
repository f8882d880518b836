"""How far predicted numbers lie from those of the references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = True
SHARE = False


class Options(base.Options):
    """Which number is compared."""

    name: Literal["regression"] = "regression"
    figure: str = "score"
    """Name of the predicted number, in `figures` of predictions.jsonl."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its squared and its absolute difference, and that it is one."""
    predicted, references = base.numbers("regression", predictions, options.figure)
    differences = [one - other for one, other in zip(predicted, references, strict=True)]
    return base.rows_of([difference**2 for difference in differences], [abs(difference) for difference in differences])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`mse` and `mae`, the mean squared and the mean absolute difference from the references, and `rmse`, the root of the first."""
    found = base.means(sums, "mse", "mae")
    return {**found, "rmse": found["mse"] ** 0.5}
