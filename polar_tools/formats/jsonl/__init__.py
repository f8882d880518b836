"""One JSON object a line; blank lines are no rows.

A column is of the type of its first value that isn't null; whole numbers become fractions where fractions follow. pyarrow reads what is
in order. A piece in which something is not is looked through line by line in Python, and what is left of it is read by pyarrow again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polar_tools import ahead
from polar_tools.formats import base
from polar_tools.formats.jsonl.parsing import complaint, parsed, surveyed
from polar_tools.formats.jsonl.types import Refused, Types, parse

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Block:
    """JSON objects, one a line, and (line, raw bytes) of each as it stands in its file."""

    data: bytes
    places: Callable[[], Iterable[tuple[int, bytes]]]


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of all rows of `file`."""
    return survey(_blocks(file), known)


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`."""
    return tables(_blocks(file), file, schema, bad)


def places(file: File) -> Iterator[tuple[int, bytes]]:
    """Line and raw bytes of every row of `file`."""
    for line, data in file.lines():
        yield from _lines(data, line)


def survey(blocks: Iterable[Block], known: pa.Schema | None) -> pa.Schema:
    """The columns of all rows, of the types that `known` begins and the rows go on with."""
    types = Types(known)
    for block, found in ahead.mapped(lambda block: surveyed(block.data, types.schema()), blocks):
        if found is None or not types.take_all(found.schema):
            for _, raw in block.places():
                with contextlib.suppress(Refused):  # which is told when the rows are read
                    types.take(parse(raw.rstrip(b"\r\n")))
    return types.schema()


def tables(blocks: Iterable[Block], file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows as tables of `schema`."""
    row = 0
    for block, found in ahead.mapped(lambda block: parsed(block.data, schema), blocks):
        if found is not None:
            yield base.counted(found.select(schema.names), row)
            row += found.num_rows
        else:
            lines = list(_sound(block, schema, file, row, bad))
            yield _reread([(row + at, *line) for at, line in enumerate(lines) if line], file, schema, bad)
            row += len(lines)


def _blocks(file: File) -> Iterator[Block]:
    for line, data in file.lines():
        yield Block(data, lambda data=data, line=line: _lines(data, line))  # type: ignore[misc]


def _lines(data: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+", data), first):
        if line.strip():
            yield number, line


def _sound(block: Block, schema: pa.Schema, file: File, first: int, bad: OnBad) -> Iterator[tuple[int, bytes] | None]:
    """Line and raw bytes of each row that is sound, None in place of one that is not."""
    types = Types(schema, schema)
    for row, (line, raw) in enumerate(block.places(), first):
        try:
            types.take(parse(raw.rstrip(b"\r\n")))
            yield line, raw
        except Refused as refused:
            bad(base.BadRow(file.name, row, line, refused.column, refused.reason, raw))
            yield None


def _reread(rows: list[tuple[int, int, bytes]], file: File, schema: pa.Schema, bad: OnBad) -> pa.Table:
    """Rows (number, line, raw bytes) as a table; what pyarrow refuses nevertheless is bad too."""
    import pyarrow as pa

    flat = [re.sub(rb"[\r\n]+", b" ", raw).strip() for _, _, raw in rows]
    table = parsed(b"\n".join(flat), schema) if flat else schema.empty_table()
    if table is not None:
        return base.numbered(table.select(schema.names), [row for row, _, _ in rows])
    parts, numbers = [schema.empty_table()], []
    for (row, line, raw), text in zip(rows, flat, strict=True):
        if (part := parsed(text, schema)) is None:
            bad(base.BadRow(file.name, row, line, None, f"cannot be read: {complaint(text, schema)}", raw))
        else:
            parts.append(part.select(schema.names))
            numbers.append(row)
    return base.numbered(pa.concat_tables(parts), numbers)
