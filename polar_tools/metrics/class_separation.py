"""How far the classes of pairs differ in how alike their texts are: a model that tells classes apart puts them at different distances."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["class_separation"] = "class_separation"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`eta_squared`: the share of the similarities' variance that lies between the classes, between 0 and 1."""
    similar = base.figures("class_separation", predictions, "similarity")
    classes: dict[str, list[float]] = {}
    for row, found in zip(predictions, similar, strict=True):
        classes.setdefault(row.reference, []).append(found)
    mean = fmean(similar)
    between = sum(len(found) * (fmean(found) - mean) ** 2 for found in classes.values())
    total = sum((found - mean) ** 2 for found in similar)
    return {"eta_squared": between / total if total else 0.0}
