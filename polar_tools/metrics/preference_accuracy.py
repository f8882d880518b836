"""Share of rows whose chosen answer is ahead of the rejected one: by reward, or by log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction
from polar_tools.metrics.margin import margins

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["preference_accuracy"] = "preference_accuracy"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`preference_accuracy`, and `preference_accuracy_per_token` where answers have lengths: long answers are less probable as such."""
    ahead = margins("preference_accuracy", predictions)
    return {f"preference_accuracy{suffix}": sum(margin > 0 for margin in found) / len(found) for suffix, found in ahead.items()}
