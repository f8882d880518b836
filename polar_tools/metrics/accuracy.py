"""Share of rows whose predicted label is the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["accuracy"] = "accuracy"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`accuracy`, between 0 and 1."""
    from sklearn.metrics import accuracy_score

    predicted, references = base.pairs("accuracy", predictions)
    return {"accuracy": float(accuracy_score(references, predicted))}
