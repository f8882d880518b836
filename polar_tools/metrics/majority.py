"""What a classifier would reach that always says the most frequent label: the bar that any model must clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from polar_tools.metrics import accuracy, base, f1
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["majority"] = "majority"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`majority_accuracy` and `majority_macro_f1` of the best constant answer to these references, which may be a set of labels."""
    _, references = base.pairs("majority", predictions)
    most = Counter(references).most_common(1)[0][0]
    constant = [replace(row, prediction=most) for row in predictions]
    figures = accuracy.compute(constant, accuracy.Options()) | f1.compute(constant, f1.Options())
    return {f"majority_{name}": figures[name] for name in ("accuracy", "macro_f1")}
