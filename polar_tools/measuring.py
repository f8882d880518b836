"""Figures out of predictions: by every metric, however it counts, over all rows or over many draws of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.metrics.base import Options, Prediction

Array = Any
"""Of numpy, which is slow to import."""
AT_ONCE = 4_000_000
"""Numbers that are held at once while rows are drawn."""


class Counted:
    """One metric on some rows, what each row adds counted once: its figures on all rows, on each alone, and on any draw of them.

    Raises DataError for rows that haven't what it needs.
    """

    def __init__(self, predictions: Sequence[Prediction], options: Options) -> None:
        self.options, self.predictions = options, predictions
        self._metric = discovery.load("metrics", options.name)
        self._parts = self._metric.parts(predictions, options) if hasattr(self._metric, "parts") else None

    @property
    def is_sum(self) -> bool:
        """Whether its figures are made of sums over rows, so that a draw costs next to nothing."""
        return self._parts is not None

    @cached_property
    def figures(self) -> dict[str, float]:
        """By name, on all rows; raises DataError for a figure that is no number."""
        if self._parts is None:
            found: dict[str, float] = self._metric.compute(self.predictions, self.options)
        else:
            found = {name: float(value) for name, value in self._metric.whole(_summed(self._parts), self.options).items()}
        for name, value in found.items():
            if not math.isfinite(value):
                raise DataError(
                    f"metric `{self.options.name}`: {name} is {value} on this data; look at predictions.jsonl for rows that are broken"
                )
        return found

    def by_row(self) -> dict[str, Array]:
        """Each figure of each row alone, float64 [rows]; nothing where figures are no sums over rows, or sums over very many columns."""
        import numpy as np

        if not isinstance(self._parts, np.ndarray):
            return {}
        with np.errstate(all="ignore"):
            found: dict[str, Array] = self._metric.whole(self._parts, self.options)
        return found

    def drawn(self, counts: Array) -> dict[str, Array]:
        """The figures by name where each row counts as often as `counts` [samples, rows] says: float64 [samples].

        A figure that a draw can't give, such as one of rows that are all alike, is NaN there.
        """
        import numpy as np

        if self._parts is not None:
            with np.errstate(all="ignore"):
                found: dict[str, Array] = self._metric.whole(counts @ self._parts, self.options)
            return found
        draws: Iterator[list[int]] = (np.repeat(np.arange(len(self.predictions)), some).tolist() for some in counts.astype(np.int64))
        figured = [self._or_none([self.predictions[place] for place in draw]) for draw in draws]
        return {name: np.array([one.get(name, math.nan) for one in figured]) for name in self.figures}

    def _or_none(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        try:
            found: dict[str, float] = self._metric.compute(predictions, self.options)
        except DataError:
            return {}
        return found

    def tables(self) -> dict[str, Any]:
        """What is more than a number, by name."""
        found: dict[str, Any] = self._metric.tables(self.predictions, self.options) if hasattr(self._metric, "tables") else {}
        return found

    def settings(self) -> dict[str, Any]:
        """The options, and the signature where there is one."""
        signed = {"signature": self._metric.signature(self.options)} if hasattr(self._metric, "signature") else {}
        return {**self.options.model_dump(mode="json", exclude={"name"}), **signed}


def counted(predictions: Sequence[Prediction], metrics: Sequence[Options]) -> list[Counted]:
    """All `metrics`, and those that some of them stand for; raises DataError where there are no rows, or a metric can't do with them."""
    if not predictions:
        raise DataError(f"metric `{metrics[0].name}`: there are no rows to measure" if metrics else "there are no rows to measure")
    return [Counted(predictions, options) for given in metrics for options in _chosen(predictions, given)]


def measure(predictions: Sequence[Prediction], metrics: Sequence[Options]) -> dict[str, Any]:
    """What stands in report.json of `predictions`, as `report` has it."""
    return report(predictions, counted(predictions, metrics))


def report(predictions: Sequence[Prediction], found: Sequence[Counted]) -> dict[str, Any]:
    """What stands in report.json of `predictions`.

    `metrics`: figure by name; `given_by`: the metric that gave it; `settings`: of each metric its options, and its signature where it has
    one; `tables`: what is more than a number, by name, and `notes`: what a reader must know, each where there is any. Raises DataError
    where two metrics give the same name, and where the rows have not what a metric needs: none is taken over a part of them.
    """
    told: dict[str, dict[str, Any]] = {name: {} for name in ("metrics", "given_by", "settings", "tables")}
    for one in found:
        name = one.options.name
        if twice := sorted(set(one.figures) & set(told["metrics"])):
            raise DataError(f"metric `{name}` gives {', '.join(twice)}, which another metric of this evaluation gave already")
        told["metrics"] |= one.figures
        told["given_by"] |= dict.fromkeys(one.figures, name)
        told["settings"][name] = one.settings()
        told["tables"] |= one.tables()
    extra = {"tables": told.pop("tables"), "notes": notes(predictions)}
    return told | {name: value for name, value in extra.items() if value}


def figures(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """The figures of one metric by name; raises DataError for rows that haven't what it needs, and for a figure that is no number."""
    return {name: value for one in counted(predictions, [options]) for name, value in one.figures.items()}


def resampled(predictions: Sequence[Prediction], options: Options, draws: Array) -> dict[str, Array]:
    """The figures of one metric on each of `draws`, whole numbers [samples, rows drawn]: float64 [samples] by name.

    A figure that a draw can't give, such as one of rows that are all alike, is NaN there.
    """
    import numpy as np

    found: list[dict[str, Array]] = []
    metrics, rows = counted(predictions, [options]), len(predictions)
    step = max(1, AT_ONCE // rows)
    for first in range(0, len(draws), step):
        counts = occurrences(np.asarray(draws[first : first + step]), rows)
        found.append({name: values for metric in metrics for name, values in metric.drawn(counts).items()})
    return {name: np.concatenate([some[name] for some in found]) for name in found[0]}


def occurrences(draws: Array, rows: int) -> Array:
    """How often each of so many rows is in each of `draws` [samples, rows drawn]: float64 [samples, rows]."""
    import numpy as np

    places: Array = draws + rows * np.arange(len(draws))[:, None]
    return np.bincount(places.ravel(), minlength=rows * len(draws)).reshape(len(draws), rows).astype(np.float64)


def notes(predictions: Sequence[Prediction]) -> list[str]:
    """What a reader of the figures must know of the rows."""
    silent = sum(row.prediction is not None and not row.prediction.strip() for row in predictions)
    return [f"{silent} of {len(predictions)} predictions are empty: nothing was written there, which counts as wrong"] if silent else []


def _chosen(predictions: Sequence[Prediction], options: Options) -> Iterator[Options]:
    """The metrics that `options` stand for on these rows: mostly the one that they name."""
    metric = discovery.load("metrics", options.name)
    if hasattr(metric, "chosen"):
        yield from metric.chosen(predictions, options)
    else:
        yield options


def _summed(parts: Array) -> Array:
    """The sums of all rows: of plain columns such that the order of the rows is none of theirs, while sparse ones hold counts."""
    import numpy as np

    return np.array([math.fsum(column) for column in parts.T]) if isinstance(parts, np.ndarray) else np.asarray(parts.sum(axis=0)).ravel()
