"""Share of triplets whose positive is nearer than their negative."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["triplet_accuracy"] = "triplet_accuracy"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`triplet_accuracy`, between 0 and 1."""
    near, far = (base.figures("triplet_accuracy", predictions, name) for name in ("similarity", "negative_similarity"))
    return {"triplet_accuracy": fmean(float(one > other) for one, other in zip(near, far, strict=True))}
