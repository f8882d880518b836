"""One row a line, in the column `text`; a blank line is an empty text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polar_tools.formats import base

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".txt",)
COLUMN = "text"


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """One column of text."""
    import pyarrow as pa

    return pa.schema([(COLUMN, pa.string())])


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The lines of `file`."""
    import pyarrow as pa

    for line, data in file.lines():
        texts, numbers = _sound(data, line - 1, file, bad)
        yield base.numbered(pa.table({COLUMN: pa.array(texts, pa.string())}), numbers)


def _sound(data: bytes, first: int, file: File, bad: OnBad) -> tuple[list[str], list[int] | range]:
    """The lines that are text, and their numbers."""
    lines = data.removesuffix(b"\n").split(b"\n")
    try:
        if b"\0" not in data:
            return [line.removesuffix("\r") for line in data.decode().removesuffix("\n").split("\n")], range(first, first + len(lines))
    except UnicodeDecodeError:
        pass
    texts, numbers = [], []
    for number, line in enumerate(lines, first):
        if reason := _unreadable(line):
            ends = number + 1 < first + len(lines) or data.endswith(b"\n")
            bad(base.BadRow(file.name, number, number + 1, COLUMN, reason, line + b"\n" * ends))
        else:
            texts.append(line.removesuffix(b"\r").decode())
            numbers.append(number)
    return texts, numbers


def _unreadable(line: bytes) -> str:
    if (position := line.find(0)) >= 0:
        return f"a NUL byte, byte {position + 1} of the line"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{line[error.start]:02x}, byte {error.start + 1} of the line, is not UTF-8"
    return ""
