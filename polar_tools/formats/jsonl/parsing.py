"""Many objects at once, by pyarrow: a table where all is as it should be, and else nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polar_tools.formats import base
from polar_tools.formats.jsonl.types import DEEPEST, too_deep

if TYPE_CHECKING:
    import pyarrow as pa

NO_NUMBERS = {b"NaN": re.compile(rb"NaN\s*[,\]}]"), b"Inf": re.compile(rb"Inf(?:inity)?\s*[,\]}]")}
"""What pyarrow takes for numbers and JSON doesn't know, by how it begins."""
PIECE = 1 << 20
"""Bytes that one of pyarrow's threads parses at once, where no line is longer."""


def surveyed(data: bytes, seen: pa.Schema) -> pa.Table | None:
    """`data` as a table of the columns `seen` so far, which it mostly fits; if not, of what types pyarrow sees.

    Objects that fit change no type, so whether their letters and numbers are sound may wait until the rows are read.
    """
    table = _fitted(data, seen) if seen.names else None
    return parsed(data, None) if table is None else table


def parsed(data: bytes, schema: pa.Schema | None) -> pa.Table | None:
    """`data` as a table of `schema`, or of what types pyarrow sees; None where anything is not as it should be."""
    if any(begin in data and word.search(data) for begin, word in NO_NUMBERS.items()) or not _is_utf8(data):
        return None
    return _fitted(data, schema)


def complaint(text: bytes, schema: pa.Schema) -> str:
    """What pyarrow has against the object `text`."""
    import pyarrow as pa

    try:
        _arrow(text, schema, len(text) + 1)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        return str(error)
    return "it is not one JSON object"


def _fitted(data: bytes, schema: pa.Schema | None) -> pa.Table | None:
    import pyarrow as pa

    lines, longest = _one_a_line(data)
    if not lines or _may_be_deep(data, lines):
        return None
    try:
        table = _arrow(data, schema, max(PIECE, longest + 1))
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    return table if table.num_rows == lines else None


def _arrow(data: bytes, schema: pa.Schema | None, size: int) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    options = None if schema is None else arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return arrow_json.read_json(pa.BufferReader(data), read_options=arrow_json.ReadOptions(block_size=size), parse_options=options)


def _one_a_line(data: bytes) -> tuple[int, int]:
    """Number of lines and the longest's length; 0 lines unless every break stands between two objects, as none within an object does."""
    import numpy as np

    letters = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(letters == ord("\n"))
    ends = np.append(breaks, len(data)) if not data.endswith(b"\n") else breaks
    between = ends[:-1]
    last = np.where(letters[between - 1] == ord("\r"), letters[between - 2], letters[between - 1])
    if not len(ends) or (last != ord("}")).any() or (letters[between + 1] != ord("{")).any():
        return 0, 0
    return len(ends), int(np.diff(ends, prepend=-1).max())


def _is_utf8(data: bytes) -> bool:
    import pyarrow as pa

    ends = pa.array([0, len(data)], pa.int64())
    try:
        pa.LargeStringArray.from_buffers(1, ends.buffers()[1], pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _may_be_deep(data: bytes, lines: int) -> bool:
    opened = base.count(data, b"[") + base.count(data, b"{")
    return opened - lines > DEEPEST and any(too_deep(line) for line in data.split(b"\n"))
