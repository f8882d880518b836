"""Keep only the first words of a text column."""

from __future__ import annotations

from collections.abc import Iterator
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


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """All rows, with `column` cut after its first words, which are then joined by single spaces."""
    import pyarrow as pa

    for table in chunks:
        base.require(table, options.column)
        texts = [None if text is None else " ".join(text.split()[: options.words]) for text in table[options.column].to_pylist()]
        yield base.replaced(table, options.column, pa.array(texts, pa.string()))
