"""McNemar's test: two models on the same rows, each row right or wrong. Rows on which both are right, or both wrong, say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Array = Any  # of numpy

EXACT_BELOW = 25
"""With fewer rows on which they differ the exact test, which finds too little rather than too much; else mid-p (Fagerland 2013)."""


@dataclass(frozen=True)
class McNemar:
    """How many rows only the baseline has right, how many only the other, and how probable so uneven a division is by chance."""

    only_baseline: int
    only_other: int
    p: float
    form: str
    """`exact` or `mid-p`."""


def test(baseline: Array, other: Array) -> McNemar:
    """Both are arrays [rows] of 0 and 1 for the same rows."""
    lost, won = int(((baseline == 1) & (other == 0)).sum()), int(((baseline == 0) & (other == 1)).sum())
    form = "exact" if lost + won < EXACT_BELOW else "mid-p"
    return McNemar(lost, won, _p(lost, won, form == "mid-p"), form)


def _p(lost: int, won: int, middle: bool) -> float:
    """Two-sided, by the binomial distribution; `middle` counts the division that was seen only half."""
    from scipy.special import bdtr

    fewer, rows = min(lost, won), lost + won
    if not rows or lost == won:
        return 1.0
    tail, less = float(bdtr(fewer, rows, 0.5)), float(bdtr(fewer - 1, rows, 0.5)) if fewer else 0.0
    return min(1.0, tail + less if middle else 2 * tail)
