"""What every filter shares: options with the filter's name, and a check of the columns it is given.

A filter is a file with Options and apply(chunks, options): tables of some rows each in, tables out, in the same order. It never holds
more than it must, so that a dataset may be larger than memory: what it has to remember of earlier rows it keeps in local variables, and
what it must see twice in a Spool. The column ROW travels along and is nobody's business: it tells which rows of the source are still there.
"""

from typing import TYPE_CHECKING

from polar_tools.errors import DataError
from polar_tools.fields import Frozen, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "__row__"
"""The number of a row in its source, counted over all files."""


class Options(Frozen):
    """Base of a filter's options; `name` is the filter's file."""

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
