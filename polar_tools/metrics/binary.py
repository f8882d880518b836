"""Whether pairs that belong together (label 1) are more alike than others (label 0)."""

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

    name: Literal["binary"] = "binary"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`average_precision`, and `best_accuracy`: that of the best threshold on these very rows; both between 0 and 1."""
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_curve

    labels, similar = (base.figures("binary", predictions, name) for name in ("label", "similarity"))
    if len(set(labels)) < 2:
        raise DataError(f"metric `binary`: all rows have the label {labels[0]:g}; it compares rows of label 1 with those of label 0")
    wrong, right, _ = roc_curve(labels, similar, drop_intermediate=False)
    together = np.mean(labels)
    return {
        "average_precision": float(average_precision_score(labels, similar)),
        "best_accuracy": float(np.max(right * together + (1 - wrong) * (1 - together))),
    }
