"""How often a desirable answer is more probable than an undesirable one: the area under the ROC curve, 0.5 for a model that can't tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["desirable_auc"] = "desirable_auc"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`desirable_auc` of summed log-probabilities, and `desirable_auc_per_token` of their means: long answers are less probable as such."""
    from sklearn.metrics import roc_auc_score

    sums, labels = (base.figures("desirable_auc", predictions, name) for name in ("logp", "label"))
    if len(set(labels)) < 2:
        raise DataError("metric `desirable_auc`: all rows have the same label; it compares desirable and undesirable ones")
    means = [total / row.tokens for total, row in zip(sums, predictions, strict=True)]
    scores = {"desirable_auc": sums, "desirable_auc_per_token": means}
    return {name: float(roc_auc_score(labels, found)) for name, found in scores.items()}
