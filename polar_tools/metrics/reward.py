"""The mean reward of what a model writes, by the rewards of its experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = False


class Options(base.Options):
    """No options."""

    name: Literal["reward"] = "reward"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`reward`, the weighted sum, and `reward_NAME` of each reward alone; raises DataError for rows that have none."""
    names = [name for name in predictions[0].figures if name.startswith("reward")]
    if "reward" not in names:
        raise DataError("metric `reward`: the rows have no reward; this method knows none")
    return {name: math.fsum(base.figures("reward", predictions, name)) / len(predictions) for name in names}
