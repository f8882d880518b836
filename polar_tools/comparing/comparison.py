"""Lots compared on the same rows: every figure of each, and how each pair of lots differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from polar_tools import discovery, measuring
from polar_tools.comparing import bootstrap, difference, holm
from polar_tools.comparing.bootstrap import Figure
from polar_tools.comparing.difference import Difference, Drawn, Standing
from polar_tools.comparing.lots import Lot
from polar_tools.errors import DataError
from polar_tools.measuring import Counted
from polar_tools.metrics.base import Options
from polar_tools.scores import MAJORITY

SAMPLES = 10_000
"""More than for intervals alone: the smallest p is 2 / (samples + 1), and many comparisons multiply it."""
MOST_ROWS = 10_000_000
"""Rows that a metric which is no sum over rows is computed of for each run."""
WRONG = 0.05
"""How often a difference may be told where there is none."""

Verdict = Literal["better", "worse", "higher", "lower", "not distinguishable", "unknown"]
Names = tuple[str, str]
"""Of two lots: the baseline, and the other."""
Families = Sequence[Sequence[Names]]
"""Pairs by the question that they answer together: Holm's correction counts the pairs of one question."""


@dataclass(frozen=True)
class Kind:
    """How a figure is read: which way is better (None: neither), and whether it lies between 0 and 1 and is read times 100."""

    metric: str
    lower_is_better: bool | None
    share: bool


@dataclass(frozen=True)
class Told:
    """A difference with its p among all pairs of its question, of which there are `of`, and what follows."""

    difference: Difference
    p_holm: float | None
    of: int
    verdict: Verdict


@dataclass(frozen=True)
class Pair:
    """How `other` differs from `baseline`, by figure."""

    baseline: str
    other: str
    figures: dict[str, Told]


@dataclass(frozen=True)
class Comparison:
    """Everything about some lots on the same rows. `missing` says of what can't be computed or compared why."""

    rows: int
    samples: int
    seed: int
    kinds: dict[str, Kind]
    lots: dict[str, dict[str, Standing]]
    pairs: tuple[Pair, ...]
    missing: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For programs, each number to so many digits as are the same on every machine."""
        told: dict[str, Any] = {
            "rows": self.rows,
            "samples": self.samples,
            "seed": self.seed,
            "figures": {name: asdict(kind) for name, kind in self.kinds.items()},
            "lots": {lot: {name: asdict(found) for name, found in figures.items()} for lot, figures in self.lots.items()},
            "pairs": [_as_dict(pair) for pair in self.pairs],
            "missing": self.missing,
        }
        rounded: dict[str, Any] = _rounded(told)
        return rounded


def compare(
    lots: Sequence[Lot],
    families: Families,
    metrics: Sequence[Options] = (),
    samples: int = SAMPLES,
    seed: int = 0,
    forgiving: bool = False,
) -> Comparison:
    """Compare `lots`, which were paired, by `metrics`, or each by those that it was measured by.

    Where a metric can't be computed of these rows, DataError is raised, or said in `missing` if `forgiving`.
    """
    rows = len(lots[0].first)
    counted, missing = _counted(lots, metrics, forgiving)
    runs = [(lot, run) for lot, of_runs in counted.items() for run in of_runs]
    drawn = bootstrap.drawn([counted[lot][run] for lot, run in runs], samples if rows > 1 else 0, seed, MOST_ROWS)
    figures = {lot: {run: one for (name, run), one in zip(runs, drawn, strict=True) if name == lot} for lot in counted}
    means = {lot: _means(of_runs, seed + 1 + place) for place, (lot, of_runs) in enumerate(figures.items())}
    kinds = {name: _kind(mean.given_by.name) for of_lot in means.values() for name, mean in of_lot.items()}
    differences = {names: _differences(names, means, rows) for family in families for names in family}
    missing |= {f"{' and '.join(names)}: {name}": why for names in differences for name, why in _otherwise(names, means)}
    pairs = tuple(pair for family in families for pair in _judged({names: differences[names] for names in family}, kinds))
    standings = {lot: {name: difference.standing(mean, rows) for name, mean in of_lot.items()} for lot, of_lot in means.items()}
    return Comparison(rows, samples if rows > 1 else 0, seed, kinds, standings, pairs, missing)


def against_first(names: Sequence[str]) -> Families:
    """Every lot against the first."""
    return [[(names[0], name) for name in names[1:]]]


def all_pairs(names: Sequence[str]) -> Families:
    """Every lot against every one before it."""
    return [[(before, name) for place, name in enumerate(names) for before in names[:place]]]


def _counted(
    lots: Sequence[Lot], metrics: Sequence[Options], forgiving: bool
) -> tuple[dict[str, dict[str, list[Counted]]], dict[str, str]]:
    """The metrics of every run of each lot, and why some are missing; a metric counts for all runs of a lot or for none."""
    counted: dict[str, dict[str, list[Counted]]] = {lot.name: {run: [] for run in lot.runs} for lot in lots}
    missing: dict[str, str] = {}
    for lot in lots:
        for options in metrics or lot.metrics:
            try:
                of_runs = {run: [one for one in measuring.counted(rows, [options]) if _measures(one)] for run, rows in lot.runs.items()}
            except DataError as error:
                if not (forgiving or (lot.borrowed and not metrics)):
                    raise DataError(f"{lot.name}: {error}") from error
                missing[f"{lot.name}: {options.name}"] = str(error)
                continue
            for run, found in of_runs.items():
                counted[lot.name][run] += found
    return counted, missing


def _measures(metric: Counted) -> bool:
    """Whether a metric measures models: a bar that the rows set is no result of any."""
    return not all(name.startswith(MAJORITY) for name in metric.figures)


def _means(of_runs: dict[str, dict[str, Figure]], seed: int) -> dict[str, Drawn]:
    """The figures that all runs of a lot have."""
    first = next(iter(of_runs.values()))
    names = [name for name in first if all(name in figures for figures in of_runs.values())]
    return {name: difference.drawn({run: figures[name] for run, figures in of_runs.items()}, seed) for name in names}


def _kind(metric: str) -> Kind:
    module = discovery.load("metrics", metric)
    return Kind(metric, module.LOWER_IS_BETTER, module.SHARE)


def _differences(names: Names, means: dict[str, dict[str, Drawn]], rows: int) -> dict[str, Difference]:
    """Every figure that both lots have in the same sense."""
    baseline, other = (means[name] for name in names)
    both = [name for name in baseline if name in other and baseline[name].given_by == other[name].given_by]
    return {name: difference.difference(baseline[name], other[name], rows) for name in both}


def _otherwise(names: Names, means: dict[str, dict[str, Drawn]]) -> Iterator[tuple[str, str]]:
    """Figures that only share their name."""
    baseline, other = (means[name] for name in names)
    for name in baseline:
        if name in other and baseline[name].given_by != other[name].given_by:
            ways = " and ".join(str(one[name].given_by.model_dump(mode="json")) for one in (baseline, other))
            yield name, f"measured in two ways, {ways}; name one with --metrics"


def _judged(differences: dict[Names, dict[str, Difference]], kinds: dict[str, Kind]) -> Iterator[Pair]:
    """The pairs of one question; among how many a p counts is by figure."""
    among: dict[str, dict[Names, float]] = {}
    for name in kinds:
        known = {names: found[name].p for names, found in differences.items() if name in found}
        tested = {names: p for names, p in known.items() if p is not None}
        among[name] = dict(zip(tested, holm.adjusted(list(tested.values())), strict=True))
    for names, found in differences.items():
        told = {name: _told(one, among[name].get(names), len(among[name]), kinds[name]) for name, one in found.items()}
        yield Pair(*names, told)


def _told(found: Difference, p_holm: float | None, of: int, kind: Kind) -> Told:
    verdict: Verdict
    if p_holm is None:
        verdict = "unknown"
    elif p_holm >= WRONG:
        verdict = "not distinguishable"
    elif kind.lower_is_better is None:
        verdict = "higher" if found.value > 0 else "lower"
    else:
        verdict = "better" if (found.value < 0) == kind.lower_is_better else "worse"
    return Told(found, p_holm, of, verdict)


def _as_dict(pair: Pair) -> dict[str, Any]:
    figures = {}
    for name, told in pair.figures.items():
        found = asdict(told.difference)
        figures[name] = {"difference": found.pop("value"), **found, "p_holm": told.p_holm, "of": told.of, "verdict": told.verdict}
    return {"baseline": pair.baseline, "other": pair.other, "figures": figures}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return bootstrap.significant(value) if isinstance(value, float) else value
