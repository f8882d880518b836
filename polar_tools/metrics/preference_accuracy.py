"""Share of rows whose chosen answer is ahead of the rejected one: by reward, or by log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction
from polar_tools.metrics.margin import margins

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["preference_accuracy"] = "preference_accuracy"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row whether its chosen answer is ahead, as such and per token where answers have lengths, and that it is one."""
    ahead = margins("preference_accuracy", predictions).values()
    return base.rows_of(*([float(margin > 0) for margin in found] for found in ahead))


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`preference_accuracy`, and `preference_accuracy_per_token` where answers have lengths: long answers are less probable as such."""
    return base.means(sums, *("preference_accuracy", "preference_accuracy_per_token")[: sums.shape[-1] - 1])
