"""Drop rows in which a column is null or blank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """Which columns must be there."""

    name: Literal["missing"] = "missing"
    columns: tuple[str, ...] = ()
    """Columns that must hold something; empty means all."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The rows that lack no value; a list without members counts as missing too."""
    for table in chunks:
        columns = options.columns or tuple(base.data_columns(table))
        base.require(table, *columns)
        for name in columns:
            table = table.filter(_present(table[name]))
        yield table


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    present = pc.is_valid(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        blank = pc.or_(pc.equal(pc.binary_length(column), 0), pc.utf8_is_space(column))
        present = pc.and_(present, pc.invert(pc.fill_null(blank, True)))
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        present = pc.and_(present, pc.fill_null(pc.greater(pc.list_value_length(column), 0), False))
    return present
