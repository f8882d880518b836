"""Which label was taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polar_tools.metrics.base import Prediction, label_sets

MOST = 20
"""Labels that a page has room for, the most frequent first; the others are counted together."""
OTHERS = "…"


@dataclass(frozen=True)
class Confusion:
    """`counts[i][j]`: rows of label i that were taken for label j."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def share(self, row: int, column: int) -> float:
        """Of the rows of a label those that were taken for another, between 0 and 1."""
        return self.counts[row][column] / (sum(self.counts[row]) or 1)


def of(rows: Sequence[Prediction]) -> Confusion | None:
    """The matrix of some predictions; labels that were only predicted stand in it too. None where rows have several labels."""
    if any(len(labels) != 1 for labels in label_sets([text for row in rows for text in (row.reference, row.prediction or "")])):
        return None
    frequent = Counter(row.reference for row in rows)
    frequent.update({row.prediction or "": 0 for row in rows})
    labels = sorted(frequent, key=lambda label: (-frequent[label], label))
    shown = labels if len(labels) <= MOST else [*labels[: MOST - 1], OTHERS]
    place: Mapping[str, int] = {label: min(number, len(shown) - 1) for number, label in enumerate(labels)}
    counts = [[0] * len(shown) for _ in shown]
    for row in rows:
        counts[place[row.reference]][place[row.prediction or ""]] += 1
    return Confusion(tuple(shown), tuple(map(tuple, counts)))
