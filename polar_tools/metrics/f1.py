"""F1 over labels: macro-averaged, so that every label counts alike, however rare, and weighted by how often each occurs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True
COUNTED = 3
"""Of each label: rows that have it and are said to, rows that are said to have it, rows that have it."""


class Options(base.Options):
    """No options."""

    name: Literal["f1"] = "f1"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row 0 or 1 for each of the three counts of each label, and 1 where it has or is said to have no label or several: sparse."""
    from scipy.sparse import csr_array

    said, there = (base.label_sets(texts) for texts in base.pairs("f1", predictions))
    place = {label: number for number, label in enumerate(_labels(said, there))}
    cells = [
        (row, kind * len(place) + place[label])
        for row, (ours, theirs) in enumerate(zip(said, there, strict=True))
        for kind, labels in enumerate((ours & theirs, ours, theirs))
        for label in labels
    ]
    several = COUNTED * len(place)
    cells += [(row, several) for row, sets in enumerate(zip(said, there, strict=True)) if any(len(labels) != 1 for labels in sets)]
    rows, columns = zip(*cells, strict=True) if cells else ((), ())
    return csr_array(([1.0] * len(cells), (rows, columns)), shape=(len(said), several + 1))


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`macro_f1`, over the labels that occur in references or predictions, and `weighted_f1`, by rows of each label; between 0 and 1.

    `micro_f1`, over all labels of all rows alike, too where rows have several; where each has one it would be the accuracy.
    """
    import numpy as np

    right, said, there = np.moveaxis(sums[..., :-1].reshape(*sums.shape[:-1], COUNTED, -1), -2, 0)
    occurs, total = said + there > 0, there.sum(-1)
    f1 = 2 * right / np.where(occurs, said + there, 1)
    found = {
        "macro_f1": f1.sum(-1) / np.maximum(occurs.sum(-1), 1),
        "weighted_f1": (f1 * there).sum(-1) / np.where(total > 0, total, 1),
    }
    if (sums[..., -1] > 0).any():
        everything = (said + there).sum(-1)
        found["micro_f1"] = 2 * right.sum(-1) / np.where(everything > 0, everything, 1)
    return found


def tables(predictions: Sequence[Prediction], options: Options) -> dict[str, Any]:
    """`labels`: of each label its precision, recall and F1, and how many rows have it."""
    labels = _labels(*(base.label_sets(texts) for texts in base.pairs("f1", predictions)))
    counts = parts(predictions, options).sum(axis=0)[:-1].reshape(COUNTED, -1).T.tolist()
    return {"labels": [_line(label, *counted) for label, counted in zip(labels, counts, strict=True)]}


def _labels(said: Sequence[set[str]], there: Sequence[set[str]]) -> list[str]:
    return sorted({label for labels in (*said, *there) for label in labels})


def _line(label: str, right: float, said: float, there: float) -> dict[str, Any]:
    shares = {"precision": right / max(said, 1), "recall": right / max(there, 1), "f1": 2 * right / (said + there)}
    return {"label": label, **shares, "rows": int(there)}
