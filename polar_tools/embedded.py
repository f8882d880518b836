"""Columns whose text is JSON, such as the messages of a dialogue in a CSV file, or a Python literal, as pandas writes lists there."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError
from polar_tools.filters import base
from polar_tools.filters.base import ROW
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa


def parsed(chunks: Iterable[pa.Table], columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """The tables with what the text in `columns` says; empty text is a missing value. Raises DataError for the row that isn't JSON.

    The rows are gone through twice, for a key may stand in the last of them only, and Arrow would leave it out of the others' type.
    """
    if not columns:
        yield from chunks
        return
    rows = Spool(chunks)
    kinds = {column: _kind(rows, column) for column in columns}
    for table in rows:
        for column, kind in kinds.items():
            table = base.replaced(table, column, _array(_values(table, column), column, kind))
        yield table


def _kind(rows: Spool, column: str) -> pa.DataType:
    """The type that holds all values of a column."""
    import pyarrow as pa

    schemas = [pa.schema([(column, _array(_values(table, column), column, None).type)]) for table in rows]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(column).type
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise DataError(f"json_columns: the values in `{column}` are not all of one kind: {error}") from error


def _values(table: pa.Table, column: str) -> Iterator[Any]:
    for row, text in zip(table[ROW].to_pylist(), (text or "" for text in base.texts(table, column)), strict=True):
        try:
            yield _value(text) if text.strip() else None
        except ValueError as error:
            message = f"row {row + 1}: the text in `{column}` is not JSON: {error}; it begins with `{text[:60]}`"
            raise DataError(message) from error


def _value(text: str) -> Any:
    """What `text` says; raises ValueError, json's own, where it is neither JSON nor a list or a dictionary of Python's."""
    try:
        return json.loads(text)
    except ValueError:
        if text.lstrip().startswith(("[", "{")):
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                return ast.literal_eval(text.strip())
        raise


def _array(values: Iterable[Any], column: str, kind: pa.DataType | None) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(list(values), kind)
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise DataError(f"json_columns: the values in `{column}` are not all of one kind: {error}") from error
