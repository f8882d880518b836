"""Which labels are taken for which: a table of rows by their label and by the one that was predicted. It gives no figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import PositiveInt

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = None
SHARE = False
OTHERS = "…"


class Options(base.Options):
    """How large the table may be."""

    name: Literal["confusion"] = "confusion"
    most: PositiveInt = 100
    """Labels that have a line of their own, by how often they occur; the others stand together under `…`."""


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """Nothing: see `tables`."""
    return {}


def tables(predictions: Sequence[Prediction], options: Options) -> dict[str, Any]:
    """`confusion`: `labels`, and `counts` [label][label predicted] of rows; none where rows have several labels."""
    predicted, references = base.pairs("confusion", predictions)
    if any(len(labels) != 1 for labels in base.label_sets([*predicted, *references])):
        return {}
    seen = Counter([*references, *predicted])
    kept = sorted(seen, key=lambda label: (-seen[label], label))[: options.most]
    labels = [*sorted(kept), *([OTHERS] if len(seen) > len(kept) else [])]
    place = {label: number for number, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for reference, answer in zip(references, predicted, strict=True):
        counts[place.get(reference, len(labels) - 1)][place.get(answer, len(labels) - 1)] += 1
    return {"confusion": {"labels": labels, "counts": counts}}
