"""Keep the first rows, to try a config on: no more of the source is read than they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """How many rows."""

    name: Literal["head"] = "head"
    rows: PositiveInt
    """How many rows stay; all where there are fewer."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The first `rows` rows. What comes behind the table that holds the last of them is never asked for."""
    left = options.rows
    for table in chunks:
        yield table.slice(0, left)
        left -= table.num_rows
        if left <= 0:
            return
