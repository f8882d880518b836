"""What a classifier would reach that always says the most frequent label: the bar that any model must clear."""

from __future__ import annotations

import math
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
    """`majority_accuracy` and `majority_macro_f1` of the best constant answer to these references, which may be a set of labels."""
    _, references = base.pairs("majority", predictions)
    counts = Counter(references)
    answer, right = min(counts.items(), key=lambda found: (-found[1], found[0]))
    (said,), there = base.label_sets([answer]), Counter[str]()
    for labels, count in zip(base.label_sets(counts), counts.values(), strict=True):
        there.update(dict.fromkeys(labels, count))
    f1 = [2 * count / (count + len(references)) if label in said else 0.0 for label, count in there.items()]
    return {"majority_accuracy": right / len(references), "majority_macro_f1": math.fsum(f1) / max(len(f1), 1)}
