"""Share of rows whose predicted label is the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["accuracy"] = "accuracy"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row whether it is right, and that it is one."""
    predicted, references = base.pairs("accuracy", predictions)
    return base.rows_of([float(one == other) for one, other in zip(predicted, references, strict=True)])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`accuracy`, between 0 and 1."""
    return base.means(sums, "accuracy")
