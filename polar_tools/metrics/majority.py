"""What a classifier would reach that always says the most frequent label: the bar that any model must clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["majority"] = "majority"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`majority_accuracy` and `majority_macro_f1` of the best constant answer to these references."""
    _, references = base.pairs("majority", predictions)
    counts = Counter(references)
    share = max(counts.values()) / len(references)
    return {"majority_accuracy": share, "majority_macro_f1": 2 * share / (1 + share) / len(counts)}
