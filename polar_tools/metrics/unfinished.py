"""Share of texts that are empty, and of those that end only because they might be no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = True
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["unfinished"] = "unfinished"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row whether its text is empty, and whether it was cut off where that is known, and that it is one."""
    known = sum(row.cut is not None for row in predictions)
    if 0 < known < len(predictions):
        raise DataError(
            f"metric `unfinished`: of {len(predictions) - known} of {len(predictions)} rows isn't known whether they were cut off"
        )
    empty = [float(not text.strip()) for text in base.texts("unfinished", predictions)]
    return base.rows_of(empty, *([[float(bool(row.cut)) for row in predictions]] if known else []))


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`empty`, and `cut_off` where it is known, between 0 and 1."""
    return base.means(sums, *("empty", "cut_off")[: sums.shape[-1] - 1])
