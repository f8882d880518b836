"""How figures of single rows are spread, before and after a training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.metrics.base import Options, Prediction

BARS, MOST = 20, 4
"""Bars of a histogram, and histograms of an evaluation."""
BY_ROW = ("rougeL", "bleu", "chrf", "token_f1", "exact_match", "reciprocal_rank", "absolute_error")
"""Figures of metrics that say something of a single row."""


@dataclass(frozen=True)
class Histogram:
    """`counts` are rows by run: bar i holds what lies from edges[i] to edges[i + 1]. Shares are read times 100."""

    name: str
    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    share: bool

    @property
    def most(self) -> int:
        """Rows in the highest bar."""
        return max(max(counts) for counts in self.counts.values())


def of(predictions: Mapping[str, Sequence[Prediction]], metrics: Sequence[Options]) -> list[Histogram]:
    """Of the runs in `predictions`: of what their metrics say of each row, of its loss a token, and of its own figures."""
    found: dict[str, dict[str, list[float]]] = {}
    shares: set[str] = set()
    for run, rows in predictions.items():
        for name, values, share in _by_row(rows, metrics):
            found.setdefault(name, {})[run] = values
            shares |= {name} if share else set()
    whole = {name: runs for name, runs in found.items() if len(runs) == len(predictions)}
    return [_histogram(name, runs, name in shares) for name, runs in list(whole.items())[:MOST]]


def _by_row(rows: Sequence[Prediction], metrics: Sequence[Options]) -> Iterator[tuple[str, list[float], bool]]:
    """Name, a number a row, and whether it lies between 0 and 1."""
    for options in metrics:
        metric = discovery.load("metrics", options.name)
        for name, values in _parts(metric, rows, options).items():
            if name in BY_ROW:
                yield name, values, metric.SHARE
    if all(row.loss is not None and row.tokens for row in rows):
        yield "loss", [(row.loss or 0.0) / row.tokens for row in rows], False
    for name in sorted(set.intersection(*(set(row.figures) for row in rows))) if rows else ():
        values = [row.figures[name] for row in rows]
        yield name, values, all(0 <= value <= 1 for value in values)


def _parts(metric: Any, rows: Sequence[Prediction], options: Options) -> dict[str, list[float]]:
    """What a metric that is made of sums over rows would be of each row alone; nothing of others, or where rows lack what it needs."""
    import numpy as np

    if not hasattr(metric, "parts"):
        return {}
    try:
        parts = metric.parts(rows, options)
    except DataError:
        return {}
    dense = parts if isinstance(parts, np.ndarray) else parts.toarray()
    with np.errstate(all="ignore"):
        return {
            name: [float(value) for value in values] for name, values in metric.whole(dense, options).items() if len(values) == len(rows)
        }


def _histogram(name: str, runs: Mapping[str, Sequence[float]], share: bool) -> Histogram:
    finite = [value for values in runs.values() for value in values if math.isfinite(value)]
    low, high = (0.0, 1.0) if share else (min(finite, default=0.0), max(finite, default=1.0))
    width = (high - low) / BARS or 1.0
    counts = {run: [0] * BARS for run in runs}
    for run, values in runs.items():
        for value in values:
            if math.isfinite(value):
                counts[run][min(int((value - low) / width), BARS - 1)] += 1
    edges = tuple(low + place * width for place in range(BARS + 1))
    return Histogram(name, edges, {run: tuple(bars) for run, bars in counts.items()}, share)
