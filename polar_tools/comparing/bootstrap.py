"""The bootstrap: test rows drawn again with replacement, as if other test sets had been gathered, and each figure on every such draw.

Interval ends are quantiles of the figures so found (percentile bootstrap, Efron 1979), a little further out for few rows (Hesterberg 2015,
"What teachers should know about the bootstrap", 3.3): quantiles alone are as much too narrow as a normal distribution is for a t.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from polar_tools import measuring
from polar_tools.measuring import AT_ONCE, Counted
from polar_tools.metrics.base import Options, Prediction

Array = Any  # of numpy

SAMPLES = 1000
LEVEL = 0.95
MOST_ROWS, FEWEST_SAMPLES = 2_000_000, 100
"""Rows that a metric which is no sum over rows is computed of in all, and the samples that it is computed of at least."""
DIGITS = 6
"""Of what is recorded: what lies beyond differs from machine to machine."""


@dataclass(frozen=True)
class Figure:
    """One figure of one lot of rows: `value` on all of them, and on each draw, where NaN says that the draw can't give it.

    `by_row` has the figure of each row alone, where `value` is the mean of these and each is 0 or 1; None elsewhere.
    """

    given_by: Options
    value: float
    drawn: Array
    by_row: Array | None = None

    @property
    def undefined(self) -> int:
        """On how many draws there is no such figure."""
        import numpy as np

        return int(np.isnan(self.drawn).sum())


def drawn(lots: Sequence[Sequence[Counted]], samples: int, seed: int, most_rows: int = MOST_ROWS) -> list[dict[str, Figure]]:
    """The figures of some metrics by name, for each of `lots`, which are about the same rows, on the same draws."""
    import numpy as np

    metrics = [metric for lot in lots for metric in lot]
    if not metrics:
        return [{} for _ in lots]
    rows = len(metrics[0].predictions)
    few, done = min(samples, max(FEWEST_SAMPLES, most_rows // rows)), 0
    pieces: list[dict[str, list[Array]]] = [{name: [np.zeros(0)] for name in metric.figures} for metric in metrics]
    for counts in _counts(rows, samples, seed):
        for metric, piece in zip(metrics, pieces, strict=True):
            some = counts if metric.is_sum else counts[: max(0, few - done)]
            values = metric.drawn(some) if len(some) else {}
            for name, found in piece.items():
                found.append(values.get(name, np.full(len(some), np.nan)))
        done += len(counts)
    made = iter(_figures(metric, piece) for metric, piece in zip(metrics, pieces, strict=True))
    return [{name: figure for _ in lot for name, figure in next(made).items()} for lot in lots]


def _figures(metric: Counted, pieces: dict[str, list[Array]]) -> dict[str, Figure]:
    import numpy as np

    by_row = metric.by_row()
    return {
        name: Figure(metric.options, value, np.concatenate(pieces[name]), _zeros_and_ones(by_row.get(name), value))
        for name, value in metric.figures.items()
    }


def intervals(
    predictions: Sequence[Prediction], metrics: Sequence[Options], samples: int = SAMPLES, seed: int = 0
) -> dict[str, list[float]]:
    """Figure -> the ends of its 95 % interval; figures that have none, such as those of a single row, are left out."""
    found: dict[str, list[float]] = recorded(measuring.counted(predictions, metrics), samples, seed)["intervals"]
    return found


def recorded(metrics: Sequence[Counted], samples: int = SAMPLES, seed: int = 0, most_rows: int = MOST_ROWS) -> dict[str, Any]:
    """What a report says of intervals.

    `intervals`: figure -> the ends of its 95 % interval; `resampling`: by how many draws, of which seed, and of which figures less was
    drawn (`fewer`), or could not be computed on so many draws (`undefined`).
    """
    rows = len(metrics[0].predictions) if metrics else 0
    if rows < 2:
        return {"intervals": {}, "resampling": {"samples": 0, "seed": seed}}
    (found,) = drawn([metrics], samples, seed, most_rows)
    ends = {name: interval(figure.drawn, rows, figure.by_row) for name, figure in found.items()}
    fewer = {name: len(figure.drawn) for name, figure in found.items() if len(figure.drawn) < samples}
    undefined = {name: figure.undefined for name, figure in found.items() if figure.undefined}
    exceptions = {name: told for name, told in (("fewer", fewer), ("undefined", undefined)) if told}
    return {
        "intervals": {name: [significant(end) for end in pair] for name, pair in ends.items() if pair is not None},
        "resampling": {"samples": samples, "seed": seed, **exceptions},
    }


def interval(values: Array, rows: int, by_row: Array | None = None) -> tuple[float, float] | None:
    """The ends between which LEVEL of `values` lies, those that are no number left out; None where there are none, or one row only.

    Where all rows are right, or all wrong, so is every draw; then the exact interval is taken (Clopper and Pearson 1934).
    """
    import numpy as np
    from scipy.special import ndtr, stdtrit  # of normal and t distributions, without the second that scipy.stats takes to import

    known = values[np.isfinite(values)]
    if rows < 2 or not len(known):
        return None
    if by_row is not None and np.ptp(by_row) == 0:
        edge = ((1 - LEVEL) / 2) ** (1 / rows)
        return (edge, 1.0) if by_row[0] else (0.0, 1 - edge)
    outside = float(ndtr(stretch(rows) * stdtrit(rows - 1, (1 - LEVEL) / 2)))
    low, high = np.quantile(known, [outside, 1 - outside])
    return float(low), float(high)


def stretch(rows: int) -> float:
    """By how much deviations of so many rows, each from the mean of these very rows, are too small."""
    return math.sqrt(rows / (rows - 1))


def significant(value: float) -> float:
    """`value` to as many digits as are recorded."""
    return float(f"{value:.{DIGITS}g}")


def _counts(rows: int, samples: int, seed: int) -> Iterator[Array]:
    """How often each row is drawn, float64 [some samples, rows], until there are `samples`."""
    import numpy as np

    chance, step = np.random.default_rng(seed), max(1, AT_ONCE // rows)
    for first in range(0, samples, step):
        yield measuring.occurrences(chance.integers(0, rows, (min(step, samples - first), rows)), rows)


def _zeros_and_ones(by_row: Array | None, value: float) -> Array | None:
    """`by_row` where the figure is the mean of it and it has nothing but 0 and 1."""
    import numpy as np

    if by_row is None or not np.isin(by_row, (0.0, 1.0)).all() or not math.isclose(float(by_row.mean()), value, abs_tol=1e-12):
        return None
    return by_row
