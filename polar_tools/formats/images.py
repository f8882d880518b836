"""A folder of pictures with metadata.csv, .jsonl or .parquet, whose column `file_name` names the picture of each row.

The picture stands in the column `image` as `datasets` keeps it: its bytes as they are, and its path.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError
from polar_tools.formats import base, csv, jsonl, parquet

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MARKS = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
COLUMN = "image"
NAME = "file_name"
BYTES = 32 << 20
"""About as many bytes of pictures are in one table."""


def select(files: Sequence[File]) -> list[File]:
    """The files of metadata."""
    return [file for file in files if file.unpacked_name in MARKS]


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The picture and the columns of the metadata; raises DataError where none names the pictures."""
    import pyarrow as pa

    rows = _format(file).schema(file, _rows_schema(known) if known is not None else None)
    if NAME not in rows.names:
        raise DataError(f"{file.name} has no column `{NAME}` that names the picture of each row")
    if COLUMN in rows.names:
        raise DataError(f"{file.name}: the column `{COLUMN}` is where the pictures go; call it something else")
    others = [field for field in rows if field.name != NAME]
    return pa.schema([pa.field(COLUMN, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), *others])


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of the metadata with their pictures; one whose picture doesn't decode is bad."""
    places = _Places(file)
    for table in _format(file).read(file, _rows_schema(schema), bad):
        pictures, kept, size, first = [], [], 0, 0
        for at, (name, row) in enumerate(zip(table[NAME].to_pylist(), table[base.ROW].to_pylist(), strict=True)):
            found = _picture(file.path.parent, name)
            if isinstance(found, bytes):
                pictures.append({"bytes": found, "path": name})
                kept.append(at - first)
                size += len(found)
            else:
                bad(base.BadRow(file.name, row, *places.of(row, table.slice(at, 1), NAME, found)))
            if size >= BYTES:
                yield _table(table.slice(first, at + 1 - first).take(kept), pictures, schema)
                pictures, kept, size, first = [], [], 0, at + 1
        yield _table(table.slice(first).take(kept), pictures, schema)


class _Places:
    """Where the rows of a file of metadata stand; looked up only when one is bad."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._known: list[tuple[int, bytes]] | None = None

    def of(self, row: int, table: pa.Table, column: str, reason: str) -> tuple[int | None, str, str, bytes]:
        """What a BadRow says behind the number: line, column, reason and raw bytes."""
        if not hasattr(_format(self._file), "places"):
            return None, column, reason, repr(table.to_pylist()[0]).encode()
        if self._known is None:
            self._known = list(_format(self._file).places(self._file))
        line, raw = self._known[row]
        return line, column, reason, raw


def _format(file: File) -> ModuleType:
    """The format of the metadata."""
    return next(module for module in (csv, jsonl, parquet) if file.suffix in module.SUFFIXES)


def _rows_schema(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(NAME, pa.string()), *(field for field in schema if field.name != COLUMN)])


def _table(rows: pa.Table, pictures: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    with_pictures = rows.drop_columns([NAME]).append_column(COLUMN, pa.array(pictures, schema.field(COLUMN).type))
    return with_pictures.select([*schema.names, base.ROW])


def _picture(folder: Path, name: str | None) -> bytes | str:
    """The bytes of a picture, or why there is none."""
    if not name:
        return "there is no name of a picture"
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return f"{name} leads out of the folder of the metadata"
    try:
        data = (folder / path).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return f"there is no picture {name}"
    reason = _undecodable(data)
    return f"{name} is not a picture that can be read: {reason}" if reason else data


def _undecodable(data: bytes) -> str:
    """Why `data` doesn't decode; empty where it does."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except UnidentifiedImageError:
        return "its first bytes are those of no known format"
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return str(error)
    return ""
