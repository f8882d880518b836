"""Prepared rows on the disk: parts (train, test) in shards. A table is a pyarrow.Table; a row is a dictionary."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.filters.base import ROW, require

if TYPE_CHECKING:
    import pyarrow as pa

SHARD = 100_000
"""Rows of a shard at most."""
ROWS = 10_000
"""Rows of a table that is read at once."""
BATCH = 1_000
"""Rows that are in memory at once where shards are made into Python objects."""


def choose_columns(table: pa.Table, columns: dict[str, str]) -> pa.Table:
    """`table` with only the columns named, under their new names; raises DataError for one that isn't there."""
    if not columns:
        return table
    require(table, *columns.values())
    return table.select([*columns.values(), ROW]).rename_columns([*columns, ROW])


def read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of all shards of a part, such as `train`, in their order."""
    import pyarrow.parquet as pq

    return [row for shard in shards(folder, name) for row in pq.read_table(shard).to_pylist()]


def rows(shards: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of shards one by one, with only some columns where they are named."""
    return (row for shard in shards for batch in batches(shard, columns) for row in batch.to_pylist())


def batches(shard: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A shard in pieces of BATCH rows."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(shard) as file:
        yield from file.iter_batches(BATCH, columns=None if columns is None else list(columns))


def rows_at(shards: Iterable[Path], places: Collection[int]) -> pa.Table:
    """The rows at `places`, counted from 0 over all shards, in their order; no more is read than is needed to reach the last."""
    import numpy as np
    import pyarrow as pa

    wanted, found, first = np.array(sorted(set(places))), [], 0
    for batch in (batch for shard in shards for batch in batches(shard)):
        here = wanted[(wanted >= first) & (wanted < first + batch.num_rows)]
        found.append(batch.take(pa.array(here - first)))
        first += batch.num_rows
        if first > wanted[-1]:
            break
    return pa.Table.from_batches(found)


def shards(folder: Path, name: str) -> list[Path]:
    """The files of a part, in the order of their rows."""
    return sorted(folder.glob(f"{name}-[0-9]*.parquet"))


def schema(folder: Path) -> pa.Schema:
    """The columns of the rows to train on."""
    import pyarrow.parquet as pq

    return pq.read_schema(shards(folder, "train")[0])


def count(folder: Path, name: str) -> int:
    """How many rows a part has."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(shard).num_rows for shard in shards(folder, name))


def tables(folder: Path, name: str, schema: pa.Schema | None = None) -> Iterator[pa.Table]:
    """The rows of a part, some at a time, with the columns and types of `schema` if given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for shard in shards(folder, name):
        for batch in pq.ParquetFile(shard).iter_batches(ROWS, columns=None if schema is None else schema.names):
            table = pa.Table.from_batches([batch])
            yield table if schema is None else table.select(schema.names).cast(schema)


def write_shards(chunks: Iterable[pa.Table], folder: Path, name: str) -> None:
    """Tables of one schema as NAME-00000.parquet and so on: the same bytes for the same rows, however they are cut into tables."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(regrouped(chunks, SHARD)):
        pq.write_table(table.combine_chunks().replace_schema_metadata(None), folder / f"{name}-{number:05}.parquet", compression="zstd")


def write_rows(rows: Sequence[dict[str, Any]], folder: Path, name: str) -> None:
    """`rows`, all of the same columns, as shards."""
    import pyarrow as pa

    write_shards([pa.Table.from_pylist(list(rows))], folder, name)


def regrouped(chunks: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size`, but for the last, however they are cut before."""
    import pyarrow as pa

    held: list[pa.Table] = []
    count = 0
    for table in chunks:
        while count + table.num_rows >= size:
            head = table.slice(0, size - count)
            yield pa.concat_tables([*held, head])
            table, held, count = table.slice(head.num_rows), [], 0
        if table.num_rows:
            held.append(table)
            count += table.num_rows
    if held:
        yield pa.concat_tables(held)
