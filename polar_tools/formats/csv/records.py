"""One record after another, by Python's csv: what is right in a piece where something is wrong, and line and column of what is not."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from polar_tools.formats import base

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import BadRow, File, OnBad

NEWLINE = b"\n"


class Record(NamedTuple):
    """One record: its bytes, and its values, or None where its quotes are broken. Each letter of a value stands for one byte."""

    raw: bytes
    values: list[str] | None


class Header(NamedTuple):
    """The first record: names of columns, what stands between them, and where the rows begin."""

    names: list[str]
    delimiter: str
    size: int
    lines: int


def records(data: bytes, delimiter: str, final: bool) -> Iterator[Record]:
    """The records of `data` up to the last whole one; of one with broken quotes the first line. A blank line is one without values."""
    csv.field_size_limit(sys.maxsize)
    start = at = 0

    def lines() -> Iterator[str]:
        nonlocal at
        while at < len(data):
            begin, at = at, data.find(b"\n", at) + 1 or len(data)
            yield data[begin:at].decode("latin-1")

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while start < len(data):
        try:
            values: list[str] | None = next(reader)
        except csv.Error:
            values = None
        if at == len(data) and not final and (values is None or not data.endswith(b"\n")) and len(data) - start <= base.LONGEST:
            return
        if values is None:
            at = data.find(b"\n", start) + 1 or len(data)
            reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        yield Record(data[start:at], values)
        start = at


class Exact:
    """The rows of a piece in which something is wrong, one by one."""

    def __init__(self, file: File, header: Header, line: int, row: int, bad: OnBad) -> None:
        self.file, self.header, self.line, self.row, self.bad = file, header, line, row, bad

    def table(self, data: bytes) -> pa.Table:
        """The rows that can be read."""
        import pyarrow as pa

        rows: list[list[str]] = []
        numbers: list[int] = []
        for record in records(data, self.header.delimiter, final=True):
            if record.values != []:
                wrong = self._wrong(record)
                if wrong is None:
                    rows.append([as_text(value) for value in record.values or []])
                    numbers.append(self.row)
                else:
                    self.bad(wrong)
                self.row += 1
            self.line += record.raw.count(b"\n")
        columns = zip(*rows, strict=True) if rows else [()] * len(self.header.names)
        arrays = [pa.array(column, pa.string()) for column in columns]
        return base.numbered(pa.Table.from_arrays(arrays, names=self.header.names), numbers)

    def _wrong(self, record: Record) -> BadRow | None:
        column, reason = self._reason(record)
        if not reason:
            return None
        names = self.header.names
        named = names[column] if column < len(names) else column + 1
        return base.BadRow(self.file.name, self.row, self.line, named, reason, record.raw)

    def _reason(self, record: Record) -> tuple[int, str]:
        """Index of the first column that is wrong, and what is; nothing where all is well."""
        if record.values is None:
            return _broken(record.raw, self.header.delimiter)
        for column, value in enumerate(record.values):
            if reason := unreadable(record.raw, value, self.line):
                return column, reason
        expected, found = len(self.header.names), len(record.values)
        if found < expected:
            return found, f"there is no value; the row has {found} of {expected}"
        return expected, f"the header names {expected} columns, the row has {found} values" if found > expected else ""


def _broken(raw: bytes, delimiter: str) -> tuple[int, str]:
    """Which value of a record has broken quotes, and in what way."""
    text, at, column = raw.decode("latin-1"), 0, 0
    value = re.compile(rf'(?:"(?:[^"]++|"")*+"|[^"{delimiter}\r\n][^{delimiter}\r\n]*+|)(?=[{delimiter}\r\n]|\Z)')
    while (found := value.match(text, at)) and text[found.end() : found.end() + 1] == delimiter:
        at, column = found.end() + 1, column + 1
    if text[at : at + 1] != '"':
        return column, "a carriage return stands in a value that is not quoted"
    if re.compile(r'"(?:[^"]++|"")*+"').match(text, at):
        return column, 'text follows the closing quote; a quote within a value is written ""'
    return column, "a quote is opened and not closed as it should be"


def unreadable(raw: bytes, value: str, line: int) -> str:
    """Why a value of the record `raw`, which begins in `line`, is no text; empty where it is."""
    if "\0" in value:
        return f"a NUL byte, {_place(raw, raw.index(0), line)}"
    if value.isascii():
        return ""
    try:
        as_text(value)
    except UnicodeDecodeError as error:
        position = _first_undecodable(raw)
        return f"byte 0x{error.object[error.start]:02x}, {_place(raw, position, line)}, is not UTF-8"
    return ""


def _first_undecodable(raw: bytes) -> int:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _place(raw: bytes, position: int, line: int) -> str:
    above = raw[:position]
    return f"byte {position - above.rfind(NEWLINE)} of line {line + above.count(NEWLINE)}"


def as_text(value: str) -> str:
    """The text of a value, each letter of which stands for one byte."""
    return value if value.isascii() else value.encode("latin-1").decode()
