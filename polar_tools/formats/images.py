"""A folder of pictures with metadata.csv, .jsonl or .parquet, whose column `file_name` names each row's picture, or `file_names` several.

They stand in the column `image`, or `images`, as `datasets` keeps them: their bytes as they are, and their paths.
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
COLUMNS = {"file_name": "image", "file_names": "images"}
"""What names the pictures of a row, one or a list -> where they are put."""
BYTES = 32 << 20
"""About as many bytes of pictures are in one table."""


def select(files: Sequence[File]) -> list[File]:
    """The files of metadata."""
    return [file for file in files if file.unpacked_name in MARKS]


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The pictures and the columns of the metadata; raises DataError where none names the pictures."""
    import pyarrow as pa

    rows = _format(file).schema(file, _rows_schema(known) if known is not None else None)
    named = [name for name in COLUMNS if name in rows.names]
    if not named:
        raise DataError(f"{file.name} has no column `file_name` that names the picture of each row, nor `file_names` that lists several")
    if len(named) > 1:
        raise DataError(f"{file.name} has both `file_name` and `file_names`; put all names into the lists")
    if (column := COLUMNS[named[0]]) in rows.names:
        raise DataError(f"{file.name}: the column `{column}` is where the pictures go; call it something else")
    if named == ["file_names"] and not pa.types.is_list(rows.field("file_names").type):
        raise DataError(f"{file.name}: `file_names` must hold lists; for one picture a row call it `file_name`")
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kind = picture if column == "image" else pa.list_(picture)
    return pa.schema([pa.field(column, kind), *(field for field in rows if field.name != named[0])])


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of the metadata with their pictures; one of which a picture doesn't decode is bad."""
    places, name = _Places(file), _name(schema)
    for table in _format(file).read(file, _rows_schema(schema), bad):
        pictures, kept, size, first = [], [], 0, 0
        for at, (named, row) in enumerate(zip(table[name].to_pylist(), table[base.ROW].to_pylist(), strict=True)):
            found = [_picture(file.path.parent, one) for one in ([named] if name == "file_name" else named or [])]
            wrong = next((one for one in found if isinstance(one, str)), None)
            if wrong is None:
                pictures.append(found if name == "file_names" else found[0])
                kept.append(at - first)
                size += sum(len(one["bytes"]) for one in found if isinstance(one, dict))
            else:
                bad(base.BadRow(file.name, row, *places.of(row, table.slice(at, 1), name, wrong)))
            if size >= BYTES:
                yield _table(table.slice(first, at + 1 - first).take(kept), pictures, schema)
                pictures, kept, size, first = [], [], 0, at + 1
        yield _table(table.slice(first).take(kept), pictures, schema)


def _name(schema: pa.Schema) -> str:
    """The column of the metadata that named the pictures in `schema`."""
    return next(name for name, column in COLUMNS.items() if column in schema.names)


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

    name = _name(schema)
    kind = pa.string() if name == "file_name" else pa.list_(pa.string())
    return pa.schema([pa.field(name, kind), *(field for field in schema if field.name != COLUMNS[name])])


def _table(rows: pa.Table, pictures: list[Any], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    name = _name(schema)
    column = schema.field(COLUMNS[name])
    with_pictures = rows.drop_columns([name]).append_column(column.name, pa.array(pictures, column.type))
    return with_pictures.select([*schema.names, base.ROW])


def _picture(folder: Path, name: str | None) -> dict[str, Any] | str:
    """A picture with its path, or why there is none."""
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
    return f"{name} is not a picture that can be read: {reason}" if reason else {"bytes": data, "path": name}


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
