"""What may be said of a figure, and of the difference between two, from draws of rows and of seeds.

With one training each, only rows are drawn: interval and p come from the draws themselves, and hold for these trained models. With several,
seeds are drawn too, so that they hold for what the next seed would give: there are few of them, so both come from the spread of the draws
with a t distribution, whose degrees of freedom (Satterthwaite 1946) fall to those of the seeds where most of the spread is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polar_tools.comparing import bootstrap, mcnemar
from polar_tools.comparing.bootstrap import LEVEL, Figure
from polar_tools.comparing.mcnemar import McNemar
from polar_tools.metrics.base import Options

Array = Any  # of numpy

POWER = 0.8
"""How often a difference that is said to be shown would be."""


@dataclass(frozen=True)
class Standing:
    """A figure of one lot: its mean over the runs, their standard deviation (None of one run), and a 95 % interval (None of one row)."""

    value: float
    by_run: dict[str, float]
    spread: float | None
    interval: tuple[float, float] | None
    undefined: int


@dataclass(frozen=True)
class Difference:
    """A figure of one lot less that of its baseline.

    `p` is that of McNemar's test where there is one, else the bootstrap's, both two-sided. `detectable` is the smallest difference that a
    comparison like this shows in 8 of 10 cases; None where nothing differs. `undefined` counts draws that can't give the figure.
    """

    value: float
    interval: tuple[float, float] | None
    p: float | None
    mcnemar: McNemar | None
    detectable: float | None
    samples: int
    undefined: int


@dataclass(frozen=True)
class Drawn:
    """A figure of a lot on draws of rows and seeds; `seeds` is the variance of its mean that seeds make, with its degrees of freedom.

    `by_row` is 0 or 1 for each row, where the figure is the mean of such and there is one run.
    """

    given_by: Options
    value: float
    by_run: dict[str, float]
    values: Array
    seeds: tuple[float, int] | None
    by_row: Array | None = None


def drawn(figures: Mapping[str, Figure], seed: int) -> Drawn:
    """A figure of all runs of a lot, by run, as the mean over the runs; on each draw other seeds count more.

    Weights are 1/n + sqrt(n/(n-1)) (share drawn - 1/n): so the variance of the mean is that of n seeds, and not n-1 nths of it.
    """
    import numpy as np

    by_run = {run: figure.value for run, figure in figures.items()}
    given_by = next(iter(figures.values())).given_by
    runs, table = len(figures), np.stack([figure.drawn for figure in figures.values()], axis=1)
    mean = math.fsum(by_run.values()) / runs
    if runs == 1:
        return Drawn(given_by, mean, by_run, table[:, 0], None, next(iter(figures.values())).by_row)
    shares = np.random.default_rng(seed).multinomial(runs, [1 / runs] * runs, size=len(table)) / runs
    weights = 1 / runs + math.sqrt(runs / (runs - 1)) * (shares - 1 / runs)
    variance = float(np.var(list(by_run.values()), ddof=1)) / runs
    return Drawn(given_by, mean, by_run, (weights * table).sum(axis=1), (variance, runs - 1))


def standing(found: Drawn, rows: int) -> Standing:
    """What may be said of one lot."""
    import numpy as np

    spread = float(np.std(list(found.by_run.values()), ddof=1)) if found.seeds else None
    if found.seeds is None:
        ends = bootstrap.interval(found.values, rows, found.by_row)
    else:
        ends, _, _ = _concluded(found.value, found.values, rows, [found.seeds])
    return Standing(found.value, found.by_run, spread, ends, _undefined(found.values))


def difference(baseline: Drawn, other: Drawn, rows: int) -> Difference:
    """What may be said of two: by McNemar's test where rows are right or wrong."""
    values, value = other.values - baseline.values, other.value - baseline.value
    seeds = [one.seeds for one in (baseline, other) if one.seeds is not None]
    ends, p, detectable = _concluded(value, values, rows, seeds)
    told = rows > 1 and baseline.by_row is not None and other.by_row is not None
    tested = mcnemar.test(baseline.by_row, other.by_row) if told else None
    return Difference(value, ends, p if tested is None else tested.p, tested, detectable, len(values), _undefined(values))


def _concluded(
    value: float, values: Array, rows: int, seeds: Sequence[tuple[float, int]]
) -> tuple[tuple[float, float] | None, float | None, float | None]:
    """The 95 % interval, the p value of a true value of 0, and the smallest value that is told from 0 in POWER of cases."""
    import numpy as np
    from scipy.special import stdtr, stdtrit

    known = values[np.isfinite(values)]
    if rows < 2 or len(known) < 2:
        return None, None, None
    drawn = float(np.var(known, ddof=1))
    by_rows = max(0.0, drawn - sum(variance for variance, _ in seeds)) * bootstrap.stretch(rows) ** 2
    parts = [(by_rows, rows - 1), *seeds]
    total = sum(variance for variance, _ in parts)
    if not total:
        return (value, value), 1.0 if value == 0 else _least(known), None
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in parts)
    error, outer = math.sqrt(total), float(stdtrit(freedom, (1 + LEVEL) / 2))
    detectable = (outer + float(stdtrit(freedom, POWER))) * error
    if not seeds:
        return bootstrap.interval(known, rows), _p(known, rows), detectable
    p = 2 * float(stdtr(freedom, -abs(value) / error))
    return (value - outer * error, value + outer * error), max(p, _least(known)), detectable


def _p(known: Array, rows: int) -> float:
    """Two-sided: how far the interval could be widened before it holds 0. Never 0, for so few draws can't tell that."""
    from scipy.special import ndtri, stdtr

    draws = len(known)
    tail = min(1 + int((known <= 0).sum()), 1 + int((known >= 0).sum())) / (draws + 1)
    if tail >= 0.5:
        return 1.0
    return 2 * float(stdtr(rows - 1, ndtri(tail) / bootstrap.stretch(rows)))


def _least(known: Array) -> float:
    """The smallest p that so many draws can tell."""
    return 2 / (len(known) + 1)


def _undefined(values: Array) -> int:
    import numpy as np

    return int(np.isnan(values).sum())
