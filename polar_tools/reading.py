"""Files of any format as one stream of tables. Rows that can't be read stop it, or are set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, TYPE_CHECKING, Self

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.formats.base import ROW, BadRow, File, OnBad
from polar_tools.selection import ALL, Selection, refuse_unasked_splits

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000
"""Rows that a table has at most."""
BYTES = 32 << 20
"""Bytes that a table has at most, about, unless one row has more."""


RAW, REASONS = "rows.bin", "reasons.jsonl"


class Quarantine:
    """Rows set aside in a folder: rows.bin holds their raw bytes, one behind the other, and reasons.jsonl why, and where each lies in it.

    Both files are made for the first row: none is there where all rows are good, nor any of an earlier run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self._size = 0
        self._files: tuple[IO[bytes], IO[str]] | None = None
        for name in (RAW, REASONS):
            (folder / name).unlink(missing_ok=True)

    def add(self, bad: BadRow) -> None:
        """Set `bad` aside."""
        if self._files is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files = (self.folder / RAW).open("wb"), (self.folder / REASONS).open("w", encoding="utf-8")
        raw, reasons = self._files
        entry = {"file": bad.file, "row": bad.row, "line": bad.line, "column": bad.column, "reason": bad.reason}
        raw.write(bad.raw)
        reasons.write(json.dumps({**entry, "offset": self._size, "length": len(bad.raw)}, ensure_ascii=False) + "\n")
        self._size += len(bad.raw)
        self.count += 1

    def flush(self) -> None:
        """Let all rows set aside so far be on the disk."""
        for file in self._files or ():
            file.flush()

    def close(self) -> None:
        """No more rows follow."""
        for file in self._files or ():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def read(
    folder: Path, format: str = "auto", quarantine: Quarantine | None = None, selection: Selection = ALL, field: str = "train_data"
) -> Iterator[pa.Table]:
    """The rows of the selected files of one format below `folder` (or of the file `folder`), in the order of their names; raises DataError.

    All tables have the same schema: the columns of the data, and ROW, a row's number counted over all files. `field` is what the config
    calls the selection.
    """
    module, files = find(folder, format, selection, field)
    schema = _common_schema(module, files, folder, _stop if quarantine is None else _pass_over)
    first = good = bad = 0
    for file in files:
        tally = _Tally(quarantine, first)
        for table in module.read(file, schema, tally.take):
            if table.num_rows and not schema.names:
                raise DataError(f"{file.name} has rows, but not a single column")
            good += table.num_rows
            tally.good += table.num_rows
            yield from _bounded(_renumbered(table, first))
        first += tally.good + tally.bad
        bad += tally.bad
    if quarantine is not None:
        quarantine.flush()
    if not good:
        raise DataError(_nothing(files, bad))


def find(folder: Path, format: str = "auto", selection: Selection = ALL, field: str = "train_data") -> tuple[ModuleType, list[File]]:
    """The format of what lies in `folder` and the selected files that hold its rows; raises DataError where that isn't clear."""
    files = selection.of(_files(folder), field)
    chosen = _recognised(folder, files) if format == "auto" else format
    module = discovery.load("formats", chosen)
    found: list[File] = module.select(files) if hasattr(module, "select") else _of_format(module, files, format != "auto")
    if not found:
        raise DataError(f"{folder} holds nothing that could be read as `{chosen}`")
    if not selection.asks():
        refuse_unasked_splits(found)
    return module, found


def _files(folder: Path) -> list[File]:
    if folder.is_file():
        return [File(folder, folder.name)]
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = [(path, path.relative_to(folder)) for path in paths]
    return [File(path, name.as_posix()) for path, name in named if not any(part.startswith(".") for part in name.parts)]


def _recognised(folder: Path, files: Sequence[File]) -> str:
    """The one format of `files`; formats of whole folders come before those of single files."""
    formats = discovery.modules("formats")
    suffixes, names = {file.suffix for file in files}, {file.unpacked_name for file in files}
    whole = [name for name, module in formats.items() if suffixes & set(module.SUFFIXES) and names & set(getattr(module, "MARKS", ()))]
    single = [name for name, module in formats.items() if suffixes & set(module.SUFFIXES) and not hasattr(module, "MARKS")]
    kinds = whole or single
    if not kinds:
        known = ", ".join(suffix for module in formats.values() if not hasattr(module, "MARKS") for suffix in module.SUFFIXES)
        raise DataError(f"{folder} holds no file that is known by its ending ({known}); name the `format`")
    if len(kinds) > 1:
        raise DataError(f"{folder} holds files of several formats ({', '.join(kinds)}); name the `format`, or narrow the source")
    return kinds[0]


def _of_format(module: ModuleType, files: Sequence[File], named: bool) -> list[File]:
    """The files with an ending of the format; where it is named and none has one, those with any known ending, or else all."""
    every = {suffix for other in discovery.modules("formats").values() for suffix in other.SUFFIXES}
    own = [file for file in files if file.suffix in module.SUFFIXES]
    return own or ([file for file in files if file.suffix in every] or list(files) if named else [])


def _common_schema(module: ModuleType, files: Sequence[File], folder: Path, bad: OnBad) -> pa.Schema:
    """The schema that holds the rows of all files; raises DataError where their columns differ."""
    import pyarrow as pa

    common: pa.Schema | None = None
    before: File | None = None
    for file in files:
        schema = module.schema(file, common, bad)
        if ROW in schema.names:
            raise DataError(f"{file.name} has a column `{ROW}`, a name that is taken; call it something else")
        if len(set(schema.names)) < len(schema.names):
            raise DataError(f"{file.name} has two columns of one name: {_listing(schema)}")
        if not schema.names:
            continue
        if common is not None and before is not None and set(schema.names) != set(common.names):
            differ = f"{before.name} has {_listing(common)}; {file.name} has {_listing(schema)}"
            raise DataError(f"the files in {folder} do not have the same columns: {differ}")
        try:
            common = schema if common is None else pa.unify_schemas([common, schema], promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            raise DataError(f"the files in {folder} do not have the same columns: {file.name}: {error}") from error
        before = file
    return pa.schema([]) if common is None else common


def _listing(schema: pa.Schema) -> str:
    return ", ".join(f"`{name}`" for name in schema.names)


class _Tally:
    """Counts the rows of one file, and deals with the bad ones."""

    def __init__(self, quarantine: Quarantine | None, first: int) -> None:
        self.good = self.bad = 0
        self._quarantine, self._first = quarantine, first

    def take(self, bad: BadRow) -> None:
        """Set a bad row aside, or stop."""
        if self._quarantine is None:
            _stop(bad)
        else:
            self._quarantine.add(replace(bad, row=bad.row + self._first))
            self.bad += 1


def _stop(bad: BadRow) -> None:
    raise DataError(f"{bad}; `on_bad_row: quarantine` would set such rows aside")


def _pass_over(bad: BadRow) -> None:
    """Say nothing of a bad row: it is met again when the rows are read."""


def _renumbered(table: pa.Table, first: int) -> pa.Table:
    """`table`, whose rows are numbered within their file, numbered over all files."""
    import pyarrow.compute as pc

    at = table.column_names.index(ROW)
    return table if first == 0 else table.set_column(at, ROW, pc.add(table[ROW], first))


def _bounded(table: pa.Table) -> Iterator[pa.Table]:
    """`table` in pieces of ROWS and BYTES at most."""
    step = max(1, min(ROWS, table.num_rows * BYTES // max(1, table.nbytes)))
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step)


def _nothing(files: Sequence[File], bad: int) -> str:
    names = ", ".join(file.name for file in files[:5]) + (" ..." if len(files) > 5 else "")
    return f"{names}: there is no row in it" + (f" that can be read; all {bad} were set aside" if bad else "")
