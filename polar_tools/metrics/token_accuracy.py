"""Share of the target tokens that the model finds the most probable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["token_accuracy"] = "token_accuracy"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its right tokens and its tokens; raises DataError for rows of which isn't known how many are right."""
    import numpy as np

    right = base.figures("token_accuracy", predictions, "right_tokens")
    return np.array([right, [row.tokens for row in predictions]], dtype=np.float64).T


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`token_accuracy` over all target tokens alike, between 0 and 1."""
    return {"token_accuracy": sums[..., 0] / sums[..., 1]}
