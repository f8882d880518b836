"""Lots of predictions: what one model made of test rows, or several trainings of one experiment, paired row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from polar_tools.errors import DataError, UserError
from polar_tools.metrics.base import Options, Prediction

Key = tuple[str, int]
"""The hash of a test row, and which it is among rows of that hash."""


@dataclass(frozen=True)
class Lot:
    """What a model made of test rows; `runs` are trainings that differ in the seed, or the only one there is.

    `metrics` are those that it was measured by, or `borrowed` from others: then it need not have what they need. `seen` are the places,
    from 0, of test rows that overlap with what it was trained on; None where nothing is known of that.
    """

    name: str
    runs: dict[str, list[Prediction]]
    metrics: tuple[Options, ...] = ()
    seen: frozenset[int] | None = None
    borrowed: bool = False

    @property
    def first_run(self) -> str:
        """The name of its first run, such as `seed0`."""
        return next(iter(self.runs))

    @property
    def first(self) -> list[Prediction]:
        """The predictions of its first run."""
        return self.runs[self.first_run]

    def at(self, places: Sequence[int]) -> Lot:
        """The lot with only the rows at `places`, in that order."""
        return replace(self, runs={run: [rows[place] for place in places] for run, rows in self.runs.items()})


@dataclass(frozen=True)
class Paired:
    """Lots about the same rows in the same order. `places` are those of the rows in the test set, as the first lot of an evaluation has it.

    `left_out` says of each lot how many rows it has that another hasn't.
    """

    lots: tuple[Lot, ...]
    places: tuple[int, ...]
    left_out: dict[str, int]

    @property
    def seen(self) -> list[int]:
        """The numbers of the rows that overlap with what any of the lots was trained on."""
        known = frozenset[int]().union(*(lot.seen or frozenset() for lot in self.lots))
        return [number for number, place in enumerate(self.places) if place in known]

    def at(self, numbers: Sequence[int]) -> tuple[Lot, ...]:
        """The lots with only some rows, by their numbers."""
        return tuple(lot.at(numbers) for lot in self.lots)


def pair(lots: Sequence[Lot], common: bool = False) -> Paired:
    """`lots` row by row: by the hashes of their rows, or by their order where a row has none.

    Raises DataError where they are not about the same rows; with `common` the rows that all have are taken, and DataError is raised where
    there are none.
    """
    ahead = next((lot for lot in lots if lot.seen is not None), lots[0])
    if not all(row.row for lot in lots for rows in lot.runs.values() for row in rows):
        _refuse_another_order(ahead, lots, common)
        return Paired(tuple(lots), tuple(range(len(ahead.first))), {})
    places = {lot.name: {run: _places(rows) for run, rows in lot.runs.items()} for lot in lots}
    shared = set[Key](places[ahead.name][next(iter(ahead.runs))]).intersection(*(one for runs in places.values() for one in runs.values()))
    _refuse_other_rows(lots, len(shared), common)
    keys = [key for key in next(iter(places[ahead.name].values())) if key in shared]
    chosen = tuple(
        replace(lot, runs={run: [rows[places[lot.name][run][key]] for key in keys] for run, rows in lot.runs.items()}) for lot in lots
    )
    own = next(iter(places[ahead.name].values()))
    left_out = {lot.name: len(lot.first) - len(keys) for lot in lots if len(lot.first) > len(keys)}
    return Paired(chosen, tuple(own[key] for key in keys), left_out)


def with_metrics(lots: Sequence[Lot]) -> list[Lot]:
    """`lots`, those that were measured by none with the metrics of the first that was; raises UserError where there is no such."""
    known = next((lot.metrics for lot in lots if lot.metrics), ())
    if not known:
        raise UserError("no metrics are known of these predictions: name some with --metrics, such as --metrics rouge,bleu")
    return [lot if lot.metrics else replace(lot, metrics=known, borrowed=True) for lot in lots]


def _places(rows: Sequence[Prediction]) -> dict[Key, int]:
    """Where each row stands; rows that are alike are told apart by their order."""
    met: Counter[str] = Counter()
    places: dict[Key, int] = {}
    for place, row in enumerate(rows):
        places[row.row, met[row.row]] = place
        met[row.row] += 1
    return places


def _refuse_other_rows(lots: Sequence[Lot], shared: int, common: bool) -> None:
    counts = {f"{lot.name} ({run})" if len(lot.runs) > 1 else lot.name: len(rows) for lot in lots for run, rows in lot.runs.items()}
    if all(count == shared for count in counts.values()) or (common and shared):
        return
    told = ", ".join(f"{name} has {count:,}" for name, count in counts.items())
    if not shared:
        raise DataError(f"no row is common to all: {told}; only predictions of the same test rows can be compared")
    raise DataError(
        f"these are not predictions of the same rows: {told}, and {shared:,} are common to all; measure all of them on the same test rows, "
        "or compare on the common ones alone with --common"
    )


def _refuse_another_order(ahead: Lot, lots: Sequence[Lot], common: bool) -> None:
    """Without hashes the order is all there is, so what can be checked is checked: how many there are, and their references."""
    for lot in lots:
        for rows in lot.runs.values():
            if len(rows) != len(ahead.first):
                raise DataError(
                    f"{lot.name} has {len(rows):,} rows and {ahead.name} {len(ahead.first):,}; some rows have no hash (`row`), so which "
                    f"belong together can't be told{', nor which are common' if common else ''}: measure them again on the same test rows"
                )
            for place, (row, other) in enumerate(zip(rows, ahead.first, strict=True)):
                if row.reference != other.reference:
                    raise DataError(
                        f"row {place + 1} of {lot.name} has another reference than row {place + 1} of {ahead.name}; some rows have no hash "
                        "(`row`), so they are paired by their order, and these are not the same rows in the same order"
                    )
