"""Macro-averaged F1: every label counts alike, however rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["f1"] = "f1"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`macro_f1` over the labels that occur in references or predictions, between 0 and 1."""
    from sklearn.metrics import f1_score

    predicted, references = base.pairs("f1", predictions)
    return {"macro_f1": float(f1_score(references, predicted, average="macro", zero_division=0))}
