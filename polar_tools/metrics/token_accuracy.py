"""Share of the target tokens that the model finds the most probable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["token_accuracy"] = "token_accuracy"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`token_accuracy` over all target tokens alike, between 0 and 1."""
    right = base.figures("token_accuracy", predictions, "right_tokens")
    return {"token_accuracy": sum(right) / sum(row.tokens for row in predictions)}
