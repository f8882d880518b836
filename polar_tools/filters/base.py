"""What every filter shares: options with the filter's name, and a check of the columns it is given.

A filter is a file with Options and apply(chunks, options): tables of some rows each in, tables out, in the same order. It never holds
more than it must, so that a dataset may be larger than memory: what it has to remember of earlier rows it keeps in local variables, and
what it must see twice in a Spool. The column ROW travels along and is nobody's business: it tells which rows of the source are still there.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from polar_tools.errors import DataError
from polar_tools.fields import Frozen, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "__row__"
"""The number of a row in its source, counted over all files."""


class Options(Frozen):
    """Base of a filter's options; `name` is the filter's file."""

    # Whether it is there to keep something from being seen: then no dropped row of the dataset is shown anywhere.
    PRIVATE: ClassVar[bool] = False

    name: str
    """The filter: the name of a file in polar_tools/filters."""


def data_columns(table: "pa.Table") -> list[str]:
    """The columns of `table` that are data."""
    return [name for name in table.column_names if name != ROW]


def require(table: "pa.Table", *columns: str) -> None:
    """Raise DataError unless `table` has all of `columns`; the message lists those that are there."""
    for column in columns:
        if column not in data_columns(table):
            known = ", ".join(f"`{name}`" for name in data_columns(table))
            raise DataError(f"there is no column `{column}`{did_you_mean(column, data_columns(table))}; the data has {known}")


def replaced(table: "pa.Table", column: str, values: "pa.Array | pa.ChunkedArray") -> "pa.Table":
    """`table` with other values in one of its columns."""
    return table.set_column(table.column_names.index(column), column, values)


def mask(stays: Iterable[bool]) -> "pa.Array":
    """Which rows stay, for `filter`, which takes no list that may be empty."""
    import pyarrow as pa

    return pa.array(list(stays), pa.bool_())


def texts(table: "pa.Table", column: str) -> "list[str | None]":
    """The text of every row in `column`; of a list of messages their contents, each on a line of its own. None where nothing is."""
    found: list[str | None] = text_column(table, column).to_pylist()
    return found


def text_column(table: "pa.Table", column: str) -> "pa.ChunkedArray":
    """`column` as plain text, as `texts` says, for what pyarrow computes itself. Raises DataError unless the column holds text."""
    import pyarrow as pa

    require(table, column)
    values = table[column]
    if not _holds_text(values.type):
        raise DataError(f"the column `{column}` holds {values.type}, not text")
    if pa.types.is_nested(values.type):
        return pa.chunked_array([pa.array([_content(value) for value in values.to_pylist()], pa.string())])
    return values.cast(pa.string())


def text_columns(table: "pa.Table", named: tuple[str, ...]) -> list[str]:
    """The columns `named`, or all that hold text where none is."""
    return list(named) or [name for name in data_columns(table) if _holds_text(table.schema.field(name).type)]


def rewritten(table: "pa.Table", column: str, change: "Callable[[pa.Array | pa.ChunkedArray], pa.Array | pa.ChunkedArray]") -> "pa.Table":
    """`table` with every text in `column` changed, at any depth of it: all texts are given to `change` at once."""
    import pyarrow as pa

    plain, kind = text_column(table, column), table[column].type
    if pa.types.is_null(kind):
        return table
    if not pa.types.is_nested(kind):
        return replaced(table, column, change(plain).cast(kind))
    values = table[column].to_pylist()
    changed = iter(change(pa.array(_strings(values), pa.string())).to_pylist())
    return replaced(table, column, pa.array(_refilled(values, changed), kind))


def _holds_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_holds_text(kind.field(number).type) for number in range(kind.num_fields))
    return bool(pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _content(value: Any) -> str | None:
    """The text of a message, of what it consists of, or of several."""
    if isinstance(value, dict):
        return _content(next((value[key] for key in ("content", "text", "value") if value.get(key) is not None), None))
    if isinstance(value, list):
        return "\n".join(text for text in map(_content, value) if text is not None)
    return value if isinstance(value, str) else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _strings(member)


def _refilled(value: Any, changed: Iterator[str]) -> Any:
    """`value` with the next of `changed` in the place of each text."""
    if isinstance(value, str):
        return next(changed)
    if isinstance(value, dict):
        return {key: _refilled(member, changed) for key, member in value.items()}
    return [_refilled(member, changed) for member in value] if isinstance(value, list) else value
