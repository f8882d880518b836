"""The type of each column, as far as its values have told it; one object read exactly, and why it can't be a row."""

from __future__ import annotations

import json
import re
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

DEEPEST = 500
"""Levels of nesting that a row may have; pyarrow's parser crashes at some ten thousand."""


class Refused(Exception):  # noqa: N818 (it is no error of the program)
    """Why an object can't be a row, and in which column."""

    def __init__(self, column: str | None, reason: str) -> None:
        self.column, self.reason = column, reason


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
        self._seen = self._seen | found

    def take_all(self, schema: pa.Schema) -> bool:
        """Go on with the types of many rows; False where one doesn't fit."""
        try:
            before = {name: self._seen.get(name, self._known.get(name)) for name in schema.names}
            found = {name: _textual(type) for name, type in zip(schema.names, schema.types, strict=True)}
            joined = {name: type if before[name] is None else _joined(before[name], type) for name, type in found.items()}
        except Refused:
            return False
        self._seen = self._seen | joined  # a new one, for others may be reading the old one
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
    if too_deep(raw):
        raise Refused(None, f"is nested too deeply, over {DEEPEST} levels")
    return record


def too_deep(line: bytes) -> bool:
    """Whether objects and lists in `line` are nested deeper than DEEPEST."""
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
