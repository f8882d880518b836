"""Keep or drop rows by a regular expression."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """The column and one expression, in RE2's syntax: https://github.com/google/re2/wiki/Syntax."""

    name: Literal["pattern"] = "pattern"
    column: str
    """Column that is searched; of a list of messages all contents together, with a line end between two."""
    keep: str | None = None
    """Rows in which this is found anywhere stay; all others go. `(?i)` at its beginning ignores case, `^` and `$` bind it."""
    drop: str | None = None
    """Rows in which this is found anywhere go; all others stay."""

    @model_validator(mode="after")
    def _one_expression(self) -> Options:
        if bool(self.keep) == bool(self.drop):
            raise ValueError("give either `keep` or `drop`")
        refuse_invalid(self.keep or self.drop or "")
        return self


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """Only the rows that match (or don't). A null stays: `missing` drops it."""
    import pyarrow.compute as pc

    for table in chunks:
        found = pc.match_substring_regex(base.text_column(table, options.column), options.keep or options.drop)
        yield table.filter(pc.fill_null(found if options.keep else pc.invert(found), True))


def refuse_invalid(expression: str) -> None:
    """Raise ValueError for what is no expression of RE2's syntax."""
    with suppress(ImportError):  # a check of the config needs no pyarrow; the stages, which read the same options again, do
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            pc.match_substring_regex(pa.array([""]), expression)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{error}; the syntax is RE2's, which has no look-around and no back-references") from None
