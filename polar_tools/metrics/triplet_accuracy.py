"""Share of triplets whose positive is nearer than their negative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["triplet_accuracy"] = "triplet_accuracy"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row whether it is right, and that it is one."""
    near, far = (base.figures("triplet_accuracy", predictions, name) for name in ("similarity", "negative_similarity"))
    return base.rows_of([float(one > other) for one, other in zip(near, far, strict=True)])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`triplet_accuracy`, between 0 and 1."""
    return base.means(sums, "triplet_accuracy")
