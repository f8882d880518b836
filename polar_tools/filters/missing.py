"""Drop rows in which a column is null or blank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """Which columns must be there."""

    name: Literal["missing"] = "missing"
    columns: tuple[str, ...] = ()
    """Columns that must hold something; empty means all."""


def apply(table: pa.Table, options: Options) -> pa.Table:
    """`table` without the rows that lack a value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = options.columns or tuple(table.column_names)
    base.require(table, *columns)
    for name in columns:
        present = pc.is_valid(table[name])
        if pa.types.is_string(table[name].type):
            present = pc.and_(present, pc.not_equal(pc.utf8_trim_whitespace(pc.fill_null(table[name], "")), ""))
        table = table.filter(present)
    return table
