"""Keep only the first words of a text column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """The column and how many words of it stay."""

    name: Literal["first_words"] = "first_words"
    column: str
    """Column that is cut; in a list of messages each one."""
    words: PositiveInt
    """How many words stay."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """All rows, with `column` cut after its first words, which are then joined by single spaces."""
    for table in chunks:
        yield base.rewritten(table, options.column, partial(_cut, words=options.words))


def _cut(texts: pa.ChunkedArray, words: int) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if text is None else " ".join(text.split()[:words]) for text in texts.to_pylist()], pa.string())
