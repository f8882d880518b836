"""One JSON object a line; blank lines are no rows.

A column is of the type of its first value that isn't null; whole numbers become fractions where fractions follow. pyarrow reads what is
in order. A piece in which something is not is looked through line by line in Python, and what is left of it is read by pyarrow again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from polar_tools.formats import base

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".jsonl", ".ndjson")
NO_NUMBERS = (re.compile(rb"NaN\s*[,\]}]"), re.compile(rb"Inf(?:inity)?\s*[,\]}]"))
"""What pyarrow takes for numbers and JSON doesn't know."""
PIECE = 1 << 20
"""Bytes that one of pyarrow's threads parses at once, where no line is longer."""
DEEPEST = 500
"""Levels of nesting that a row may have; pyarrow's parser crashes at some ten thousand."""


@dataclass(frozen=True)
class Block:
    """JSON objects, one a line, and (line, raw bytes) of each as it stands in its file."""

    data: bytes
    places: Callable[[], Iterable[tuple[int, bytes]]]


class Refused(Exception):  # noqa: N818 (it is no error of the program)
    """Why an object can't be a row, and in which column."""

    def __init__(self, column: str | None, reason: str) -> None:
        self.column, self.reason = column, reason


def schema(file: File, known: pa.Schema | None, bad: OnBad) -> pa.Schema:
    """The columns of all rows of `file`."""
    return survey(_blocks(file), file, known, bad)


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`."""
    return tables(_blocks(file), file, schema, bad)


def places(file: File) -> Iterator[tuple[int, bytes]]:
    """Line and raw bytes of every row of `file`."""
    for line, data in file.lines():
        yield from _lines(data, line)


def survey(blocks: Iterable[Block], file: File, known: pa.Schema | None, bad: OnBad) -> pa.Schema:
    """The columns of all rows, of the types that `known` begins and the rows go on with."""
    types, row = Types(known), 0
    for block, found in base.ahead(lambda block: _parsed(block.data, None), blocks):
        if found is None or not types.take_all(found.schema):
            row += sum(1 for _ in _sound(block, types, file, row, bad))
        else:
            row += found.num_rows
    return types.schema()


def tables(blocks: Iterable[Block], file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows as tables of `schema`."""
    row = 0
    for block, found in base.ahead(lambda block: _parsed(block.data, schema), blocks):
        if found is not None:
            yield base.counted(found.select(schema.names), row)
            row += found.num_rows
        else:
            lines = list(_sound(block, Types(schema, schema), file, row, bad))
            yield _reread([(row + at, *line) for at, line in enumerate(lines) if line], file, schema, bad)
            row += len(lines)


class Types:
    """The types of columns, as far as rows have told them."""

    def __init__(self, known: pa.Schema | None, seen: pa.Schema | None = None) -> None:
        self._known = {} if known is None else dict(zip(known.names, known.types, strict=True))
        self._seen: dict[str, Any] = {} if seen is None else dict(zip(seen.names, seen.types, strict=True))

    def take(self, record: dict[str, Any]) -> None:
        """Go on with the types of one row, or with none of them; raises Refused where one doesn't fit."""
        found = {}
        for name, value in record.items():
            before = self._seen.get(name, self._known.get(name))
            try:
                found[name] = _type(value) if before is None else _joined(before, _type(value))
            except Refused as refused:
                raise Refused(name, refused.reason) from None
        self._seen |= found

    def take_all(self, schema: pa.Schema) -> bool:
        """Go on with the types of many rows; False where one doesn't fit."""
        try:
            before = {name: self._seen.get(name, self._known.get(name)) for name in schema.names}
            found = {name: _textual(type) for name, type in zip(schema.names, schema.types, strict=True)}
            self._seen |= {name: type if before[name] is None else _joined(before[name], type) for name, type in found.items()}
        except Refused:
            return False
        return True

    def schema(self) -> pa.Schema:
        """What is known now."""
        import pyarrow as pa

        return pa.schema(list(self._seen.items()))


def parse(raw: bytes) -> dict[str, Any]:
    """One JSON object; raises Refused."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Refused(None, f"is not UTF-8: byte {error.start + 1} of the line is 0x{raw[error.start]:02x}") from None
    try:
        record = json.loads(text, object_pairs_hook=_once, parse_float=_float, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        nul = "; there is a NUL byte in it" if "\0" in text else ""
        raise Refused(None, f"is not JSON: {error.msg} (character {error.pos + 1} of the line{nul})") from None
    except RecursionError:
        raise Refused(None, "is nested too deeply") from None
    if not isinstance(record, dict):
        raise Refused(None, f"is not a JSON object but {_said(_type(record))}")
    if _too_deep(raw):
        raise Refused(None, f"is nested too deeply, over {DEEPEST} levels")
    return record


def _blocks(file: File) -> Iterator[Block]:
    for line, data in file.lines():
        yield Block(data, lambda data=data, line=line: _lines(data, line))  # type: ignore[misc]


def _lines(data: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+", data), first):
        if line.strip():
            yield number, line


def _sound(block: Block, types: Types, file: File, first: int, bad: OnBad) -> Iterator[tuple[int, bytes] | None]:
    """Line and raw bytes of each row that is sound, None in place of one that is not."""
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
    table = _parsed(b"\n".join(flat), schema) if flat else schema.empty_table()
    if table is not None:
        return base.numbered(table.select(schema.names), [row for row, _, _ in rows])
    parts, numbers = [schema.empty_table()], []
    for (row, line, raw), text in zip(rows, flat, strict=True):
        if (part := _parsed(text, schema)) is None:
            bad(base.BadRow(file.name, row, line, None, f"cannot be read: {_complaint(text, schema)}", raw))
        else:
            parts.append(part.select(schema.names))
            numbers.append(row)
    return base.numbered(pa.concat_tables(parts), numbers)


def _parsed(data: bytes, schema: pa.Schema | None) -> pa.Table | None:
    """`data` as a table of `schema`, or of what types pyarrow sees; None where anything is not as it should be."""
    import pyarrow as pa

    lines, longest = _one_a_line(data)
    if not lines or _may_be_deep(data, lines) or any(word.search(data) for word in NO_NUMBERS):
        return None
    try:
        _check_utf8(data)
        table = _arrow(data, schema, max(PIECE, longest + 1))
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    return table if table.num_rows == lines else None


def _arrow(data: bytes, schema: pa.Schema | None, size: int) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    options = None if schema is None else arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return arrow_json.read_json(pa.BufferReader(data), read_options=arrow_json.ReadOptions(block_size=size), parse_options=options)


def _complaint(text: bytes, schema: pa.Schema) -> str:
    import pyarrow as pa

    try:
        _arrow(text, schema, len(text) + 1)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        return str(error)
    return "it is not one JSON object"


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


def _check_utf8(data: bytes) -> None:
    import pyarrow as pa

    ends = pa.array([0, len(data)], pa.int64())
    pa.LargeStringArray.from_buffers(1, ends.buffers()[1], pa.py_buffer(data)).validate(full=True)


def _may_be_deep(data: bytes, lines: int) -> bool:
    opened = base.count(data, b"[") + base.count(data, b"{")
    return opened - lines > DEEPEST and any(_too_deep(line) for line in data.split(b"\n"))


def _too_deep(line: bytes) -> bool:
    if line.count(b"[") + line.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for bracket in re.sub(rb'"(?:[^"\\]++|\\.)*+"|[^\[\]{}]', b"", line, flags=re.DOTALL):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            return True
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(twice, "the key stands twice in one object")
    return record


def _no_number(name: str) -> Any:
    raise Refused(None, f"is not JSON: {name} is no number there; write null")


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Refused(None, f"has a number that is too large: {digits[:20]}")
    return number


def _type(value: Any) -> pa.DataType:
    """The Arrow type of a JSON value; raises Refused for a list of several kinds, and for half a letter."""
    import pyarrow as pa

    if isinstance(value, str):
        _check_letters(value)
    if isinstance(value, dict):
        _check_letters("".join(value))
        return pa.struct([(name, _type(member)) for name, member in value.items()])
    if isinstance(value, list):
        return pa.list_(reduce(_joined, map(_type, value), pa.null()))
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return pa.float64()
    return {type(None): pa.null(), bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[type(value)]


def _check_letters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(None, f"\\u{ord(text[error.start]):04x} is half a letter, without the other half") from None


def _joined(before: pa.DataType, now: pa.DataType) -> pa.DataType:
    """The type that holds values of both; raises Refused where there is none."""
    import pyarrow as pa

    if before == now or now == pa.null():
        return before
    try:
        both = [pa.schema([("", type)]) for type in (before, now)]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        raise Refused(None, f"changes from {_said(before)} to {_said(now)}") from None


def _textual(type: pa.DataType) -> pa.DataType:
    """`type` with text for what pyarrow took for a time."""
    import pyarrow as pa

    if pa.types.is_temporal(type):
        return pa.string()
    if pa.types.is_list(type):
        return pa.list_(_textual(type.value_type))
    if pa.types.is_struct(type):
        return pa.struct([(field.name, _textual(field.type)) for field in type])
    return type


def _said(type: pa.DataType) -> str:
    names = {"int64": "int", "double": "float"}
    kind = "object" if str(type).startswith("struct") else "list" if str(type).startswith("list") else str(type)
    return names.get(kind, kind)
