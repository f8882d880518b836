"""Drop rows that repeat an earlier row exactly, so that no test row stands in training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """Which columns make two rows the same."""

    name: Literal["duplicates"] = "duplicates"
    columns: tuple[str, ...] = ()
    """Columns that are compared; empty means all."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The first of every group of equal rows, in the old order. Of earlier rows only hashes of 128 bits are remembered."""
    seen: set[bytes] = set()
    for table in chunks:
        columns = list(options.columns or base.data_columns(table))
        base.require(table, *columns)
        rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
        yield table.filter(base.mask(_is_new(row, seen) for row in rows))


def _is_new(row: tuple[object, ...], seen: set[bytes]) -> bool:
    key = hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if key in seen:
        return False
    seen.add(key)
    return True
