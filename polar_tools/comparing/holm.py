"""Holm's correction: many comparisons, and the chance that any of them is wrong stays what it is for one."""

from __future__ import annotations

from collections.abc import Sequence


def adjusted(values: Sequence[float]) -> list[float]:
    """p values as they count among so many, in their order (Holm 1979): the smallest times their number, the next times one less, ...

    None is below one before it, and none above 1.
    """
    found, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = highest
    return found
