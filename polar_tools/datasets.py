"""Prepared rows on the disk: parts (train, test) in shards. A table is a pyarrow.Table; a row is a dictionary."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import ahead
from polar_tools.errors import DataError
from polar_tools.filters.base import ROW, require

if TYPE_CHECKING:
    import pyarrow as pa

SHARD = 100_000
"""Rows at which a shard ends."""
GROUP = 10_000, 16 << 20
"""Rows and bytes at which a row group of a shard ends."""
UNIT = 100
"""Rows that stay together: where a row group ends is decided after so many, however the rows came."""
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


def common_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """The columns that all of these have, in the order of the first; raises DataError for none, or for one of different types."""
    import pyarrow as pa

    first, *_ = schemas.values()
    names = [name for name in first.names if all(name in schema.names for schema in schemas.values())]
    if not names:
        has = "; ".join(f"{owner} has {', '.join(schema.names)}" for owner, schema in schemas.items())
        raise DataError(f"there is no column in common: {has}. Bring them into one `shape`, or name their `columns` alike")
    try:
        return pa.unify_schemas([only(schema, names) for schema in schemas.values()], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise DataError(f"a column is of different types in {' and '.join(schemas)}: {error}") from error


def only(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    """`schema` with these of its columns."""
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in names])


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
    folder.mkdir(parents=True, exist_ok=True)
    groups = map(_merged, _gathered(regrouped(chunks, UNIT), *GROUP))
    for number, shard in itertools.groupby(_by_shard(groups), key=itemgetter(0)):
        _write((group for _, group in shard), folder / f"{name}-{number:05}.parquet")


def write_rows(rows: Sequence[dict[str, Any]], folder: Path, name: str) -> None:
    """`rows`, all of the same columns, as shards."""
    import pyarrow as pa

    write_shards([pa.Table.from_pylist(list(rows))], folder, name)


def _write(groups: Iterator[pa.Table], path: Path) -> None:
    import pyarrow.parquet as pq

    first = next(groups)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        ahead.each(writer.write_table, itertools.chain([first], groups))


def _by_shard(groups: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Each row group with the number of its shard."""
    number = rows = 0
    for group in groups:
        yield number, group
        rows += group.num_rows
        if rows >= SHARD:
            number, rows = number + 1, 0


def _merged(tables: list[pa.Table]) -> pa.Table:
    """One table without gaps."""
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks().replace_schema_metadata(None)


def _gathered(tables: Iterable[pa.Table], rows: int, size: int) -> Iterator[list[pa.Table]]:
    """The same tables in lists that have so many rows or bytes, but for the last."""
    held: list[pa.Table] = []
    counted = measured = 0
    for table in tables:
        held.append(table)
        counted += table.num_rows
        measured += _size(table)
        if counted >= rows or measured >= size:
            yield held
            held, counted, measured = [], 0, 0
    if held:
        yield held


def _size(table: pa.Table) -> int:
    """Bytes of the rows alone: unlike `nbytes` the same wherever they were cut from."""
    import pyarrow as pa

    return sum(pa.ipc.get_record_batch_size(batch) for batch in table.to_batches())


def regrouped(chunks: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size`, each without gaps, but for the last."""
    held: list[pa.Table] = []
    count = 0
    for table in chunks:
        while count + table.num_rows >= size:
            head = table.slice(0, size - count)
            yield _merged([*held, head])
            table, held, count = table.slice(head.num_rows), [], 0
        if table.num_rows:
            held.append(table)
            count += table.num_rows
    if held:
        yield _merged(held)
