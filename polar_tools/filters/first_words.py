"""Keep only the first words of a text column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """The column and how many words of it stay."""

    name: Literal["first_words"] = "first_words"
    column: str
    """Column that is cut."""
    words: PositiveInt
    """How many words stay."""


def apply(table: pa.Table, options: Options) -> pa.Table:
    """`table` with `column` cut after its first words, which are then joined by single spaces."""
    import pyarrow as pa

    base.require(table, options.column)
    texts = [None if text is None else " ".join(text.split()[: options.words]) for text in table[options.column].to_pylist()]
    return table.set_column(table.column_names.index(options.column), options.column, pa.array(texts, pa.string()))
