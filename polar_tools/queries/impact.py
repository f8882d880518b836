"""What came of a source, or of a row: what must go when it is withdrawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polar_tools import aside
from polar_tools.artifact import read_json
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean, payload_of
from polar_tools.queries import rows
from polar_tools.queries.project import DATA_STAGES, PLACES, Made, artifacts

BOTH = frozenset({"train", "test"})
SAME = ("source", "commit", "archive", "archive_sha256", "etags")
"""Facts of a source by any of which it may be named."""


@dataclass
class Impact:
    """Path -> why, for all that came of something; and where copies of that went."""

    what: str
    affected: dict[str, list[str]]
    stages: dict[str, str]
    published: list[dict[str, Any]] = field(default_factory=list)
    tracked: list[dict[str, Any]] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    unmade: list[str] = field(default_factory=list)
    """Folders in which work on something of it was begun and isn't finished."""

    def as_dict(self) -> dict[str, Any]:
        """For a program to read."""
        affected = [{"path": path, "stage": self.stages[path], "because": why} for path, why in self.affected.items()]
        places = {"published": self.published, "tracked": self.tracked, "set_aside": self.set_aside, "unfinished": self.unmade}
        return {"of": self.what, "artifacts": affected, **places}


def of(what: str, root: Path) -> Impact:
    """All that came of a source (its URI, repository, commit or sha256, or its name in the config) or of a row.

    Raises UserError where no source of the project is called so. That no data holds a row is an answer, and no error.
    """
    made = artifacts(root)
    sources = [path for path, one in made.items() if one.stage == "mirror" and _is_called(one, what)]
    if sources:
        affected = _downstream(made, sources)
    elif rows.is_row(what):
        affected = _of_row(made, rows.places(made, what, root))
    else:
        known = sorted({str(one.spec["source"]) for one in made.values() if one.stage == "mirror"})
        raise UserError(f"no source here is called `{what}`{did_you_mean(what, known) or '; there are: ' + ', '.join(known)}")
    found = Impact(what, affected, {path: made[path].stage for path in affected})
    for path in affected:
        found.published += [{"artifact": path, **target} for target in _targets(made[path])]
        trackers = made[path].manifest.get("measured", {}).get("trackers", {})
        found.tracked += [{"artifact": path, "tracker": name, **told} for name, told in sorted(trackers.items()) if isinstance(told, dict)]
    found.set_aside, found.unmade = sorted(_aside(root, set(affected))), sorted(_unfinished(root, set(affected)))
    return found


def _is_called(made: Made, what: str) -> bool:
    """Whether a person may mean this source: by its URI or a part of it that ends where a name ends, by a hash, or by its folder."""
    facts = made.facts.get("source", {})
    names = {made.path, made.path.removeprefix("resources/"), made.spec["source"], *(str(facts.get(name, "")) for name in SAME)}
    if what in names - {""}:
        return True
    uri = str(made.spec["source"])
    bare = uri.partition("://")[2]
    return any(text == what or text.startswith((f"{what}/", f"{what}@", f"{what}==")) for text in (uri, bare, bare.partition("/")[2]))


def _downstream(made: Mapping[str, Made], start: list[str]) -> dict[str, list[str]]:
    """All that was made from some artifacts, and from what was made of these, in the order of the work."""
    found: dict[str, list[str]] = {}
    for path, one in made.items():
        above = [name for name in one.inputs if name in found]
        if path in start:
            found[path] = ["is the source"]
        elif above:
            found[path] = [f"made from {name}" for name in above]
    return found


def _of_row(made: Mapping[str, Made], places: list[rows.Place]) -> dict[str, list[str]]:
    """What holds a row, what read the part in which it lies, and what was made from that."""
    held: dict[str, list[rows.Place]] = {}
    for place in places:
        held.setdefault(place.path, []).append(place)
    found: dict[str, list[str]] = {}
    for path, one in made.items():
        why = [f"holds it: {place}" for place in held.get(path, ())]
        if one.stage not in (*DATA_STAGES, "mirror"):
            why += [f"made from {name}" for name in one.inputs if _reaches(one, made[name], name in found, held.get(name, []))]
        if why:
            found[path] = why
    return found


def _reaches(one: Made, above: Made, affected: bool, held: list[rows.Place]) -> bool:
    """Whether a row came from an input into an artifact: of prepared rows only those parts count that it reads."""
    if above.stage not in DATA_STAGES:
        return affected and above.stage != "mirror"
    return bool({place.part for place in held} & _parts_read(one, above.path))


def _parts_read(made: Made, data: str) -> frozenset[str]:
    """The parts of prepared rows in `data` that the stage of an artifact reads."""
    spec, experiment = made.spec, made.spec.get("experiment", {})
    read: dict[str, list[tuple[str, str]]] = {
        "tokenize": [("train", experiment.get("dataset", "")), *(("test", path) for path in experiment.get("eval_datasets", {}).values())],
        "evaluate": [("test", spec.get("test") or "")],
        "harness": [],
        "rank": [],
        "overlap": [("train", spec.get("dataset", "")), ("test", spec.get("test") or "")],
    }
    read["train"] = read["tokenize"]
    if made.stage not in read:
        return BOTH
    return frozenset(part for part, payload in read[made.stage] if payload_of(payload) == data)


def _targets(made: Made) -> list[dict[str, Any]]:
    """Where an artifact of the stage publish was sent."""
    if made.stage != "publish":
        return []
    told = made.facts.get("targets", [])
    named = [{"target": name, **about} for name, about in told.items()] if isinstance(told, dict) else told
    return [target if isinstance(target, dict) else {"target": str(target)} for target in named]


def _aside(root: Path, affected: set[str]) -> Iterator[str]:
    """Folders in which lies what was made from affected artifacts, or was one of them, by another spec."""
    for place in PLACES:
        for folder in (root / place).rglob(".*.aside*"):
            owner = folder.with_name(folder.name.split(".aside")[0].removeprefix(".")).relative_to(root).as_posix()
            inputs = (read_json(folder / aside.MADE_FROM) or {}).get("inputs") or {}
            if owner in affected or affected & set(inputs):
                yield folder.relative_to(root).as_posix()


def _unfinished(root: Path, affected: set[str]) -> Iterator[str]:
    for place in PLACES:
        for file in (root / place).rglob(aside.MADE_FROM):
            if affected & set((read_json(file) or {}).get("inputs") or {}) and ".aside" not in file.parent.name:
                yield file.parent.relative_to(root).as_posix()
