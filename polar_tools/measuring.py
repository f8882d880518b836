"""Figures out of predictions: by every metric, however it counts, over all rows or over many draws of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.metrics.base import Options, Prediction

Array = Any
"""Of numpy, which is slow to import."""
AT_ONCE = 10_000_000
"""Numbers that are held at once while rows are drawn."""


def measure(predictions: Sequence[Prediction], metrics: Sequence[Options]) -> dict[str, Any]:
    """What stands in report.json of `predictions`.

    `metrics`: figure by name; `given_by`: the metric that gave it; `settings`: of each metric its options, and its signature where it has
    one; `tables`: what is more than a number, by name, and `notes`: what a reader must know, each where there is any. Raises DataError
    where two metrics give the same name, and where the rows have not what a metric needs: none is taken over a part of them.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in ("metrics", "given_by", "settings", "tables")}
    for options in (one for given in metrics for one in _chosen(predictions, given)):
        metric, figured = _metric(options), figures(predictions, options)
        if twice := sorted(set(figured) & set(found["metrics"])):
            raise DataError(f"metric `{options.name}` gives {', '.join(twice)}, which another metric of this evaluation gave already")
        found["metrics"] |= figured
        found["given_by"] |= dict.fromkeys(figured, options.name)
        found["settings"][options.name] = _settings(metric, options)
        found["tables"] |= metric.tables(predictions, options) if hasattr(metric, "tables") else {}
    extra = {"tables": found.pop("tables"), "notes": notes(predictions)}
    return found | {name: value for name, value in extra.items() if value}


def figures(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """The figures of one metric by name; raises DataError for rows that haven't what it needs, and for a figure that is no number."""
    if not predictions:
        raise DataError(f"metric `{options.name}`: there are no rows to measure")
    found: dict[str, float] = {}
    for one in _chosen(predictions, options):
        found |= _figures(predictions, one)
    for name, value in found.items():
        if not math.isfinite(value):
            raise DataError(f"metric `{options.name}`: {name} is {value} on this data; look at predictions.jsonl for rows that are broken")
    return found


def resampled(predictions: Sequence[Prediction], options: Options, draws: Array) -> dict[str, Array]:
    """The figures of one metric on each of `draws`, whole numbers [samples, rows drawn]: float64 [samples] by name.

    A figure that a draw can't give, such as one of rows that are all alike, is NaN there.
    """
    found: dict[str, Array] = {}
    for one in _chosen(predictions, options):
        by_sums = hasattr(_metric(one), "parts")
        found |= _by_sums(predictions, one, draws) if by_sums else _by_rows(predictions, one, draws)
    return found


def notes(predictions: Sequence[Prediction]) -> list[str]:
    """What a reader of the figures must know of the rows."""
    silent = sum(row.prediction is not None and not row.prediction.strip() for row in predictions)
    return [f"{silent} of {len(predictions)} predictions are empty: nothing was written there, which counts as wrong"] if silent else []


def _metric(options: Options) -> ModuleType:
    return discovery.load("metrics", options.name)


def _chosen(predictions: Sequence[Prediction], options: Options) -> Iterator[Options]:
    """The metrics that `options` stand for on these rows: mostly the one that they name."""
    metric = _metric(options)
    if hasattr(metric, "chosen") and predictions:
        yield from metric.chosen(predictions, options)
    else:
        yield options


def _settings(metric: ModuleType, options: Options) -> dict[str, Any]:
    signed = {"signature": metric.signature(options)} if hasattr(metric, "signature") else {}
    return {**options.model_dump(mode="json", exclude={"name"}), **signed}


def _figures(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    metric = _metric(options)
    if not hasattr(metric, "parts"):
        found: dict[str, float] = metric.compute(predictions, options)
        return found
    return {name: float(value) for name, value in metric.whole(_summed(metric.parts(predictions, options)), options).items()}


def _summed(parts: Array) -> Array:
    """The sums of all rows: of plain columns such that the order of the rows is none of theirs, while sparse ones hold counts."""
    import numpy as np

    return np.array([math.fsum(column) for column in parts.T]) if isinstance(parts, np.ndarray) else np.asarray(parts.sum(axis=0)).ravel()


def _by_sums(predictions: Sequence[Prediction], options: Options, draws: Array) -> dict[str, Array]:
    import numpy as np

    metric, rows = _metric(options), len(predictions)
    parts = metric.parts(predictions, options)
    step = max(1, AT_ONCE // max(rows, parts.shape[1]))
    found: list[dict[str, Array]] = []
    for first in range(0, len(draws), step):
        some = np.asarray(draws[first : first + step])
        places = some + rows * np.arange(len(some))[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * len(some)).reshape(len(some), rows).astype(np.float64)
        with np.errstate(all="ignore"):
            found.append(metric.whole(counts @ parts, options))
    return {name: np.concatenate([some[name] for some in found]) for name in found[0]}


def _by_rows(predictions: Sequence[Prediction], options: Options, draws: Array) -> dict[str, Array]:
    import numpy as np

    found = [_or_none([predictions[place] for place in draw], options) for draw in np.asarray(draws).tolist()]
    names = dict.fromkeys(name for figured in found for name in figured)
    return {name: np.array([figured.get(name, math.nan) for figured in found]) for name in names}


def _or_none(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    try:
        return _figures(predictions, options)
    except DataError:
        return {}
