"""How two results differ: settings, rows, libraries, files and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from polar_tools.queries import data_difference, figures
from polar_tools.queries.data_difference import RowChanges
from polar_tools.queries.figures import Figure
from polar_tools.queries.keys import Change, changes
from polar_tools.queries.project import DATA_STAGES, Made
from polar_tools.queries.sides import Side


@dataclass
class Difference:
    """What of A isn't so in B. Settings and libraries say in which artifacts; a config's have none."""

    settings: dict[str, tuple[Change, list[str]]] = field(default_factory=dict)
    libraries: dict[str, tuple[Change, list[str]]] = field(default_factory=dict)
    only: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    rows: dict[str, RowChanges] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    """Artifact -> files that are of other bytes, or that only one side has."""
    metrics: list[tuple[str, Figure, Figure]] = field(default_factory=list)

    def as_dict(self, samples: int) -> dict[str, Any]:
        """For a program to read."""
        return {
            "config": [{**change.as_dict(), "in": where} for change, where in self.settings.values()],
            "versions": [{**change.as_dict(), "in": where} for change, where in self.libraries.values()],
            "artifacts": {"only_a": self.only[0], "only_b": self.only[1]},
            "data": {path: rows.as_dict(samples) for path, rows in self.rows.items()},
            "files": self.files,
            "metrics": [
                {"evaluation": path, "metric": old.metric, "old": _told(old), "new": _told(new), "change": new.value - old.value}
                for path, old, new in self.metrics
            ],
        }


def _told(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "interval": figure.interval, "rows": figure.rows}


def between(a: Side, b: Side) -> Difference:
    """All that is different. Artifacts are compared by their names; of rows those that lie on the disk now."""
    found = Difference(only=(sorted(a.artifacts.keys() - b.artifacts.keys()), sorted(b.artifacts.keys() - a.artifacts.keys())))
    if a.config is not None and b.config is not None:
        _note(found.settings, changes(a.config, b.config), None)
    for name in (name for name in a.artifacts if name in b.artifacts):
        _compare(found, name, (a, a.artifacts[name]), (b, b.artifacts[name]), with_spec=a.config is None or b.config is None)
    return found


def _compare(found: Difference, name: str, a: tuple[Side, Made], b: tuple[Side, Made], with_spec: bool) -> None:
    (one, old), (other, new) = a, b
    shown = name or old.path
    if with_spec:
        _note(found.settings, changes(one.spec(old), other.spec(new)), shown)
    _note(found.libraries, changes(old.record["versions"], new.record["versions"]), shown)
    before, after = ({path: entry["sha256"] for path, entry in made.record["files"].items()} for made in (old, new))
    if before != after:
        found.files[shown] = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if old.stage in DATA_STAGES and new.stage in DATA_STAGES and shown in found.files:
        rows = data_difference.compare(old.folder / "data", new.folder / "data")
        if rows:
            found.rows[shown] = rows
    measured = figures.of(old), figures.of(new)
    found.metrics += [(shown, measured[0][metric], measured[1][metric]) for metric in measured[0] if metric in measured[1]]


def _note(noted: dict[str, tuple[Change, list[str]]], found: list[Change], where: str | None) -> None:
    """Keep each change once, with the artifacts in which it is."""
    for change in found:
        _, places = noted.setdefault(str(change), (change, []))
        if where is not None:
            places.append(where)
