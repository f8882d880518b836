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
        rows = zip(*(_as_bytes(table[name]) for name in columns), strict=True)
        yield table.filter(base.mask(_is_new(row, seen) for row in rows))


def _as_bytes(column: pa.ChunkedArray) -> list[bytes | None]:
    """Every value as bytes that no other value of the column has; texts, which may be long, as they lie in memory."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
        return found
    return [None if value is None else repr(value).encode("utf-8", "surrogatepass") for value in column.to_pylist()]


def _is_new(row: tuple[bytes | None, ...], seen: set[bytes]) -> bool:
    # With its length before it, no value can go on where another ends.
    parts = [b"-" if value is None else b"%d:%b" % (len(value), value) for value in row]
    key = hashlib.blake2b(b"".join(parts), digest_size=16).digest()
    if key in seen:
        return False
    seen.add(key)
    return True
