"""Drop rows that repeat an earlier row exactly, so that no test row stands in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """Which columns make two rows the same."""

    name: Literal["duplicates"] = "duplicates"
    columns: tuple[str, ...] = ()
    """Columns that are compared; empty means all."""


def apply(table: pa.Table, options: Options) -> pa.Table:
    """`table` with the first of every group of equal rows, in the old order."""
    columns = list(options.columns or table.column_names)
    base.require(table, *columns)
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    first = {repr(row): number for number, row in reversed(list(enumerate(rows)))}
    return table.take(sorted(first.values()))
