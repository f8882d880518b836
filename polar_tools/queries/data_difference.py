"""How two lots of prepared rows differ: what was added, removed, changed, and what moved between training and test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polar_tools import datasets
from polar_tools.funnel import readable
from polar_tools.records import fingerprint

PARTS = ("train", "test")
Row = dict[str, Any]
Placed = tuple[str, Row]
"""A row and the part in which it lies."""


@dataclass
class RowChanges:
    """Rows that only the new lot has, only the old, pairs that agree in a column and no other row does, and rows that moved."""

    rows: tuple[int, int]
    added: list[Placed] = field(default_factory=list)
    removed: list[Placed] = field(default_factory=list)
    changed: list[tuple[str, Row, Row]] = field(default_factory=list)
    """The column in which both agree, the old row and the new one."""
    moved: list[tuple[str, str, Row]] = field(default_factory=list)
    """From which part to which."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.moved)

    def counts(self) -> dict[str, int]:
        """How many rows of each kind."""
        return {name: len(getattr(self, name)) for name in ("added", "removed", "changed", "moved")}

    def as_dict(self, samples: int) -> dict[str, Any]:
        """For a program to read: counts, and the first rows of each kind."""
        return {
            "rows": list(self.rows),
            **self.counts(),
            "samples": {
                "added": [{"part": part, "row": readable(row)} for part, row in self.added[:samples]],
                "removed": [{"part": part, "row": readable(row)} for part, row in self.removed[:samples]],
                "changed": [{"same": key, "old": readable(old), "new": readable(new)} for key, old, new in self.changed[:samples]],
                "moved": [{"from": old, "to": new, "row": readable(row)} for old, new, row in self.moved[:samples]],
            },
        }


def compare(old: Path, new: Path) -> RowChanges:
    """The rows in two folders of prepared data; a row that stands there twice counts twice."""
    before, after = ([(part, row) for part in PARTS for row in datasets.read_rows(folder, part)] for folder in (old, new))
    found = RowChanges((len(before), len(after)))
    removed, added = _without(before, after, whole=True), _without(after, before, whole=True)
    gone, come = {fingerprint(row): (part, row) for part, row in removed}, {fingerprint(row): part for part, row in added}
    found.moved = [(part, come[key], row) for key, (part, row) in gone.items() if key in come]
    found.removed, found.added = _without(removed, added, whole=False), _without(added, removed, whole=False)
    _pair(found)
    return found


def _without(rows: list[Placed], others: list[Placed], whole: bool) -> list[Placed]:
    """The rows that `others` lack; `whole` tells those of one part from those of another."""
    left = Counter(_key(row, whole) for row in others)
    kept = []
    for row in rows:
        key = _key(row, whole)
        if left[key]:
            left[key] -= 1
        else:
            kept.append(row)
    return kept


def _key(placed: Placed, whole: bool) -> tuple[str, str]:
    return (placed[0] if whole else "", fingerprint(placed[1]))


def _pair(found: RowChanges) -> None:
    """Take a removed and an added row for one that changed, where both have the same in a column, and no other of them has.

    Columns that tell rows best are looked at first.
    """
    names = [name for name in (found.removed[0][1] if found.removed else {}) if found.added and name in found.added[0][1]]
    for column in sorted(names, key=lambda name: -len({fingerprint(row[name]) for _, row in (*found.removed, *found.added)})):
        old, new = (_alone(rows, column) for rows in (found.removed, found.added))
        both = [key for key in old if key in new]
        found.changed += [(column, old[key][1], new[key][1]) for key in both]
        taken = {id(rows[key]) for rows in (old, new) for key in both}
        found.removed = [placed for placed in found.removed if id(placed) not in taken]
        found.added = [placed for placed in found.added if id(placed) not in taken]


def _alone(rows: list[Placed], column: str) -> dict[str, Placed]:
    """The rows by what they have in a column, where only one has it."""
    counted = Counter(fingerprint(row[column]) for _, row in rows)
    return {key: placed for placed in rows if counted[key := fingerprint(placed[1][column])] == 1}
