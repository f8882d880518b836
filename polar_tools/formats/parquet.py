"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polar_tools import ahead
from polar_tools.formats import base

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".parquet", ".pq")
ROWS = 10_000
BYTES = 32 << 20


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of `file`."""
    import pyarrow.parquet as pq

    with file.plain() as path, base.valid(file, "parquet"):
        return base.plain_schema(pq.read_schema(path))


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`, never a whole column of a row group at once."""
    return ahead.taken(_tables(file, schema))


def _tables(file: File, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    with file.plain() as path, base.valid(file, "parquet"), pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as source:
        for batch in source.iter_batches(_rows(source)):
            table = base.checked(pa.Table.from_batches([batch]), file, row)
            yield base.counted(table.select(schema.names).cast(schema), row)
            row += table.num_rows


def _rows(source: pq.ParquetFile) -> int:
    """How many rows are about BYTES."""
    groups = [source.metadata.row_group(number) for number in range(source.metadata.num_row_groups)]
    longest = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=0)
    return max(1, min(ROWS, int(BYTES / longest))) if longest else ROWS
