"""Keep or drop rows by the value of one column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """The column and either the values to keep or those to drop."""

    name: Literal["values"] = "values"
    column: str
    """Column whose values decide."""
    keep: tuple[str, ...] = ()
    """Values whose rows stay; all others go."""
    drop: tuple[str, ...] = ()
    """Values whose rows go; all others stay."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Options:
        if bool(self.keep) == bool(self.drop):
            raise ValueError("give either `keep` or `drop`")
        return self


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """Only the rows whose value is kept (or not dropped); values compare as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    named = pa.array(options.keep or options.drop, pa.string())
    for table in chunks:
        base.require(table, options.column)
        found = pc.is_in(table[options.column].cast(pa.string()), named)
        yield table.filter(found if options.keep else pc.invert(found))
