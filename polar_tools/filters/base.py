"""What every filter shares: options with the filter's name, and a check of the columns it is given."""

from typing import TYPE_CHECKING

from polar_tools.errors import DataError
from polar_tools.fields import Frozen, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa


class Options(Frozen):
    """Base of a filter's options; `name` is the filter's file."""

    name: str
    """The filter: the name of a file in polar_tools/filters."""


def require(table: "pa.Table", *columns: str) -> None:
    """Raise DataError unless `table` has all of `columns`; the message lists those that are there."""
    for column in columns:
        if column not in table.column_names:
            known = ", ".join(f"`{name}`" for name in table.column_names)
            raise DataError(f"there is no column `{column}`{did_you_mean(column, table.column_names)}; the data has {known}")
