"""Values between commas (or semicolons, tabs, bars, where the header has no comma), all of them text; quoted as in RFC 4180.

Numbers and words such as NA stay what they are. pyarrow reads what is in order. A piece in which something is not is read again, record by
record, by Python's csv, which tells line and column. A record with broken quotes is set aside with its first line only, so that
a quote too many doesn't take all the rest of the file with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from polar_tools import ahead
from polar_tools.errors import DataError
from polar_tools.formats import base
from polar_tools.formats.csv.records import NEWLINE, Exact, Header, Record, as_text, records, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".csv",)
OTHER_DELIMITERS = ";\t|"


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of the header, all text."""
    return delimited_schema(file, ",")


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`."""
    return delimited(file, schema, bad, ",")


def places(file: File) -> Iterator[tuple[int, bytes]]:
    """Line and raw bytes of every row of `file`."""
    return delimited_places(file, ",")


def delimited_schema(file: File, delimiter: str) -> pa.Schema:
    """The columns of the header, all text; raises DataError for a header that can't be one."""
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in _header(file, delimiter).names])


def delimited(file: File, schema: pa.Schema, bad: OnBad, delimiter: str) -> Iterator[pa.Table]:
    """The rows of `file`, in the order of columns of `schema`."""
    header, row = _header(file, delimiter), 0
    for (line, data, _), table in ahead.mapped(lambda piece: _regular(piece[1], header) if piece[2] else None, _pieces(file, header)):
        if table is not None:
            yield base.counted(table, row).select([*schema.names, base.ROW])
            row += table.num_rows
        else:
            found = Exact(file, header, line, row, bad)
            yield found.table(data).select([*schema.names, base.ROW])
            row = found.row


def delimited_places(file: File, delimiter: str) -> Iterator[tuple[int, bytes]]:
    """Line and raw bytes of every row of `file`."""
    header = _header(file, delimiter)
    for line, data, _ in _pieces(file, header):
        for record in records(data, header.delimiter, final=True):
            if record.values != []:
                yield line, record.raw
            line += record.raw.count(b"\n")


def _header(file: File, delimiter: str) -> Header:
    chunk = next(file.text_chunks(), b"")
    delimiter, size, lines = _delimiter(chunk.lstrip(b"\r\n").split(b"\n", 1)[0], delimiter), 0, 0
    for record in records(chunk, delimiter, final=True):
        size, lines = size + len(record.raw), lines + record.raw.count(b"\n")
        if record.values is None:
            raise DataError(f"{file.name}, line {lines}: the header has a quote that is not closed, or text behind one")
        if record.values:
            return Header(_names(file, record, lines), delimiter, size, lines)
    raise DataError(f"{file.name} is empty: there is not even a header in it")


def _delimiter(header: bytes, delimiter: str) -> str:
    """What stands between the names: where a comma is expected and none is there, what else is there most often."""
    unquoted = re.sub(rb'"[^"]*"', b"", header)
    if delimiter != "," or b"," in unquoted:
        return delimiter
    found = max(OTHER_DELIMITERS, key=lambda other: unquoted.count(other.encode()))
    return found if found.encode() in unquoted else delimiter


def _names(file: File, record: Record, line: int) -> list[str]:
    for number, value in enumerate(record.values or [], 1):
        if reason := unreadable(record.raw, value, line):
            raise DataError(f"{file.name}, line {line}, column {number}: {reason}")
    names = [as_text(value) for value in record.values or []]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise DataError(f"{file.name}, line {line}: two columns are called `{twice}`; give each its own name")
    return names


def _pieces(file: File, header: Header) -> Iterator[tuple[int, bytes, bool]]:
    """The rows in pieces of whole records, each with the number of its first line, and whether its quotes are all in order."""
    line, rest, skip, chunks = header.lines + 1, b"", header.size, file.text_chunks()
    chunk: bytes | None = next(chunks, b"")
    while chunk is not None:
        following = next(chunks, None)
        data, skip = b"".join((rest, memoryview(chunk)[skip:])), 0
        cut = _cut(data, header.delimiter, final=following is None)
        whole = cut is not None
        if cut is None:
            cut = sum(len(record.raw) for record in records(data, header.delimiter, final=following is None))
        if cut:
            yield line, data[:cut], whole
        line += base.count(memoryview(data)[:cut], NEWLINE)
        rest, chunk = data[cut:], following


def _cut(data: bytes, delimiter: str, final: bool) -> int | None:
    """Where the last whole record ends; None where a quote or a carriage return stands where none should."""
    import numpy as np

    if _bare_return(data):
        return None
    last = len(data) if final else data.rfind(b"\n") + 1
    if b'"' not in data:
        return last if last or len(data) <= base.LONGEST else None
    letters = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    before, after = letters[quotes - 1], letters[np.minimum(quotes + 1, len(data) - 1)]
    before[:1] = ord("\n") if quotes[0] == 0 else before[0]
    after[-1:] = ord("\n") if quotes[-1] == len(data) - 1 else after[-1]
    if not np.isin(before, [ord(delimiter), ord("\n")]).any():
        return last  # no value begins with a quote, so all of them are letters like any other
    opens = np.isin(before[0::2], [ord(delimiter), ord("\n"), ord('"')]).all()
    closes = np.isin(after[1::2], [ord(delimiter), ord("\n"), ord("\r"), ord('"')]).all()
    if not (opens and closes) or (final and len(quotes) % 2):
        return None
    opening = quotes[0::2][before[0::2] != ord('"')]
    while np.searchsorted(quotes, last) % 2:
        last = data.rfind(b"\n", 0, int(opening[np.searchsorted(opening, last) - 1])) + 1
    return last if last or len(data) <= base.LONGEST else None


def _regular(data: bytes, header: Header) -> pa.Table | None:
    """`data` as a table; None where anything in it is not as it should be."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if b"\0" in data:
        return None
    options = {
        "read_options": arrow_csv.ReadOptions(column_names=header.names, block_size=1 << 20),
        "parse_options": arrow_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=b'"' in data),
        "convert_options": arrow_csv.ConvertOptions(column_types=dict.fromkeys(header.names, pa.string()), strings_can_be_null=False),
    }
    try:
        return arrow_csv.read_csv(pa.BufferReader(data), **options)
    except pa.ArrowInvalid:
        return None


def _bare_return(data: bytes) -> bool:
    """Whether a carriage return stands in `data` that no newline follows."""
    import numpy as np

    if b"\r" not in data:
        return False
    letters = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(letters == ord("\r"))
    following = letters[returns[returns < len(data) - 1] + 1]
    return bool((following != ord("\n")).any())
