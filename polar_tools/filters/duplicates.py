"""Drop rows that repeat an earlier row exactly, so that no test row stands in training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


BYTES = 16
NOTHING = bytes(BYTES)
"""Stands for the hash of a value that isn't there."""


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
        rows = zip(*(_digests(table[name]) for name in columns), strict=True)
        yield table.filter(base.mask(_is_new(row, seen) for row in rows))


def _digests(column: pa.ChunkedArray) -> list[bytes]:
    """A hash of every value; texts, which may be long, are hashed as they lie in memory."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = column.cast(pa.large_binary()).to_pylist()
    else:
        values = [None if value is None else repr(value).encode("utf-8", "surrogatepass") for value in column.to_pylist()]
    return [NOTHING if value is None else _digest(value) for value in values]


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=BYTES).digest()


def _is_new(row: tuple[bytes, ...], seen: set[bytes]) -> bool:
    key = row[0] if len(row) == 1 else _digest(b"".join(row))
    if key in seen:
        return False
    seen.add(key)
    return True
