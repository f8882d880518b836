"""How much of the references' variance predicted numbers explain; 0 for the mean of the references, below 0 for what is worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = False
NOISE = 1e-12
"""Less variance than this, beside the square of the numbers, is rounding."""


class Options(base.Options):
    """Which number is compared."""

    name: Literal["r2"] = "r2"
    figure: str = "score"
    """Name of the predicted number, in `figures` of predictions.jsonl."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its squared error, its reference (beside the first one) and the square of that, and that it is one."""
    predicted, references = base.numbers("r2", predictions, options.figure)
    near = [reference - references[0] for reference in references]  # so that the difference of large sums is exact
    errors = [(one - other) ** 2 for one, other in zip(predicted, references, strict=True)]
    return base.rows_of(errors, near, [value**2 for value in near])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`r2`, at most 1; where all references are the same, 1 if all predictions are too, or else 0, as scikit-learn has it."""
    import numpy as np

    errors, near, squares, rows = np.moveaxis(sums, -1, 0)
    variance = squares - near**2 / rows
    varies = variance > NOISE * squares
    return {"r2": np.where(varies, 1 - errors / np.where(varies, variance, 1), np.where(errors > 0, 0.0, 1.0))}
