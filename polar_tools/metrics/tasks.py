"""What tasks of lm-evaluation-harness measure; every score that is a mean over rows is given by `task`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base, task
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = None
SHARE = False


class Options(base.Options):
    """No options."""

    name: Literal["tasks"] = "tasks"


def chosen(predictions: Sequence[Prediction], options: Options) -> list[base.Options]:
    """`task` for each score that rows have: none where all tasks measure something over all rows at once, such as a perplexity."""
    return [task.Options(figure=name) for name in task.scores(predictions)]
