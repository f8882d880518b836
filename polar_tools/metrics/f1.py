"""F1 over labels: macro-averaged, so that every label counts alike, however rare."""

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
    """`macro_f1` over the labels that occur in references or predictions, between 0 and 1.

    `micro_f1`, over all labels of all rows alike, too where rows have several; where each has one it would be the accuracy.
    """
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    texts, references = base.pairs("f1", predictions)
    if all(len(labels) == 1 for labels in base.label_sets([*texts, *references])):
        return {"macro_f1": float(f1_score(references, texts, average="macro", zero_division=0))}
    labels = MultiLabelBinarizer().fit(base.label_sets([*texts, *references]))
    there, found = (labels.transform(base.label_sets(each)) for each in (references, texts))
    return {f"{average}_f1": float(f1_score(there, found, average=average, zero_division=0)) for average in ("macro", "micro")}
