"""Where a row lies: in the files of the source, among prepared rows, in mixtures, in predictions.

A row is told by what `predictions.jsonl` calls it (`row`), or by the text in one of its columns. The way from the source to the split is
gone again, by the code of the stage prepare, so that a row is followed through filters that change its text.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import UserError
from polar_tools.fields import payload_of
from polar_tools.funnel import readable
from polar_tools.queries.project import DATA_STAGES, Made
from polar_tools.records import canonical, fingerprint

if TYPE_CHECKING:
    from polar_tools.reading import Quarantine
    from polar_tools.specs import Files, PrepareSpec

HASH = re.compile(r"[0-9a-f]{8,64}")
BY_COLUMN = re.compile(r"(?s)([^=~]+)([=~])(.+)")
Row = Mapping[str, Any]
Wanted = Callable[[Row], bool]


@dataclass(frozen=True)
class Place:
    """Where a row lies in an artifact: in which part (`source`, `train`, `test`, `predictions`), and as which row of it, from 1."""

    path: str
    part: str
    number: int

    def __str__(self) -> str:
        return f"{self.part} row {self.number}"


@dataclass(frozen=True)
class Origin:
    """One row of a source: whether it is meant, and in which part it lies as which row (from 0), if it came through the filters."""

    identity: str
    number: int
    part: str | None
    kept_as: int | None
    meant: bool


Chosen = set[tuple[str, int]]
"""Rows of an artifact: part, and number from 0."""


def places(made: Mapping[str, Made], wanted: str, root: Path) -> list[Place]:
    """Everywhere a row lies that `wanted` tells, and each row that came of the same row of a source; raises UserError for no row's name.

    `wanted` is the hash of a row (8 letters or more of it), COLUMN=TEXT for the whole of a column or COLUMN~TEXT for a part of it.
    """
    meant = _meant(wanted)
    with contextlib.chdir(root):
        sources = {path: list(_origins(one, meant)) for path, one in made.items() if one.stage == "prepare"}
        identities = {origin.identity for rows in sources.values() for origin in rows if origin.meant}
        found = [place for path, rows in sources.items() for place in _of_source(made[path], rows, identities)]
        chosen: dict[str, Chosen] = {}
        for path in (path for path, one in made.items() if one.stage in DATA_STAGES):
            chosen[path] = _prepared(sources[path], identities) if path in sources else _mixed(made[path], chosen, meant)
        found += [Place(path, part, number + 1) for path, rows in chosen.items() for part, number in rows]
        found += [place for one in made.values() if one.stage == "evaluate" for place in _predicted(one, chosen, wanted)]
    return sorted(set(found), key=lambda place: (place.path, place.part, place.number))


def row_hash(row: Row) -> str:
    """What predictions.jsonl calls a row."""
    from polar_tools.stages import evaluate

    return evaluate.row_hash(dict(row))


def is_row(wanted: str) -> bool:
    """Whether this may be the name of a row rather than of a repository."""
    return HASH.fullmatch(wanted) is not None or ("://" not in wanted and BY_COLUMN.fullmatch(wanted) is not None)


def _meant(wanted: str) -> Wanted:
    if HASH.fullmatch(wanted):
        return lambda row: row_hash(row).startswith(wanted[:32])
    found = BY_COLUMN.fullmatch(wanted)
    if found is None:
        raise UserError(f"`{wanted}` is neither the hash of a row nor of the form COLUMN=TEXT or COLUMN~TEXT")
    column, sign, text = found[1], found[2], found[3]
    return lambda row: column in row and (_text(row[column]) == text if sign == "=" else text in _text(row[column]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(readable(value), ensure_ascii=False)


def _parts(path: str) -> dict[str, list[dict[str, Any]]]:
    from polar_tools import datasets

    return {part: datasets.read_rows(Path(path, "data"), part) for part in ("train", "test")}


def _values(path: str, rows: Chosen) -> Iterator[dict[str, Any]]:
    parts = _parts(path) if rows else {}
    return (parts[part][number] for part, number in sorted(rows))


def _of_source(made: Made, rows: Iterable[Origin], identities: set[str]) -> Iterator[Place]:
    """The snapshot in which the rows lie."""
    for origin in rows:
        if origin.identity in identities:
            source = made.spec["test"] if origin.part == "test" and made.spec["test"] is not None else made.spec["train"]
            yield Place(payload_of(source["source"]), "source", origin.number + 1)


def _prepared(rows: Iterable[Origin], identities: set[str]) -> Chosen:
    """The prepared rows that came of some rows of the source."""
    hit = (one for one in rows if one.identity in identities)
    return {(one.part, one.kept_as) for one in hit if one.part is not None and one.kept_as is not None}


def _mixed(made: Made, above: Mapping[str, Chosen], meant: Wanted) -> Chosen:
    """The rows of a mixture, or of what was decontaminated, that are meant, or are rows of its inputs that are."""
    found: Chosen = set()
    inputs = [row for name in made.inputs if name in above for row in _values(name, above[name])]
    for part, rows in _parts(made.path).items():
        names = list(rows[0]) if rows else []
        wanted = {fingerprint({name: row.get(name) for name in names}) for row in inputs}
        found |= {(part, number) for number, row in enumerate(rows) if meant(row) or fingerprint(row) in wanted}
    return found


def _predicted(made: Made, chosen: Mapping[str, Chosen], wanted: str) -> Iterator[Place]:
    """The lines of an evaluation's predictions that are about test rows that are meant."""
    file, data = Path(made.path, "predictions.jsonl"), payload_of(made.spec["test"])
    tested = {(part, number) for part, number in chosen.get(data, ()) if part == "test"}
    hashes = {row_hash(row) for row in _values(data, tested)}
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line).get("row") or ""
            if row in hashes or (HASH.fullmatch(wanted) and row.startswith(wanted[:32])):
                yield Place(made.path, "predictions", number)


def _origins(made: Made, meant: Wanted) -> Iterator[Origin]:
    """Every row of an artifact's source, and what became of it."""
    from polar_tools.specs import PrepareSpec, thaw

    spec = thaw(canonical(made.spec), made.path)
    assert isinstance(spec, PrepareSpec)
    files = {"train": spec.train, **({} if spec.test is None else {"test": spec.test})}
    prepared = _parts(made.path)
    for name, chosen in files.items():
        kept = _kept(spec, name, chosen, whole=len(files) > 1)
        for number, row in _source_rows(spec, name, chosen):
            part, place = kept.get(number, (None, None))
            seen = [row, {role: row[column] for role, column in spec.columns.items() if column in row}]
            seen += [] if part is None or place is None else [prepared[part][place]]
            yield Origin(fingerprint(row), number, part, place, any(meant(one) for one in seen))


def _source_rows(spec: PrepareSpec, name: str, files: Files) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of the files as they are in the source, each with its number from 0."""
    from polar_tools import intake, reading
    from polar_tools.filters.base import ROW

    with _nowhere(spec) as quarantine:
        for table in reading.read(Path(files.source), spec.format, quarantine, intake.selection(files, spec), f"{name}_data"):
            for row in table.to_pylist():
                yield row.pop(ROW), row


def _kept(spec: PrepareSpec, name: str, files: Files, whole: bool) -> dict[int, tuple[str, int]]:
    """Row of the source -> part and place in it, from 0, of the rows that came through the filters; `whole` files are one part."""
    from polar_tools import intake, splitting
    from polar_tools.filters.base import ROW

    with _nowhere(spec) as quarantine:
        part = intake.Part(name, files, spec, quarantine, spec.shape)
        numbers = [number for table in part.rows for number in table[ROW].to_pylist()]
        sides = [splitting.SIDES[name]] * len(numbers) if whole else splitting.sides(part.rows, spec.split).tolist()
    names, counts = {side: name for name, side in splitting.SIDES.items()}, dict.fromkeys(splitting.SIDES.values(), 0)
    kept = {}
    for number, side in zip(numbers, sides, strict=True):
        kept[number] = (names[side], counts[side])
        counts[side] += 1
    return {number: place for number, place in kept.items() if place[0] != "neither"}


@contextlib.contextmanager
def _nowhere(spec: PrepareSpec) -> Iterator[Quarantine | None]:
    """Where rows are set aside that can't be read: into a folder that goes again; None where such rows are an error."""
    import tempfile

    from polar_tools.reading import Quarantine

    if spec.on_bad_row != "quarantine":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="polar-") as folder, Quarantine(Path(folder)) as quarantine:
        yield quarantine
