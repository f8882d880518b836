"""Arrow: a file or a stream of record batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from polar_tools.formats import base

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".arrow", ".feather", ".ipc")
MAGIC = b"ARROW1"


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of `file`."""
    with _batches(file) as (columns, _):
        return base.plain_schema(columns)


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`, a batch at a time."""
    import pyarrow as pa

    row = 0
    with _batches(file) as (_, batches):
        for batch in batches:
            table = base.checked(pa.Table.from_batches([batch]), file, row)
            yield base.counted(table.select(schema.names).cast(schema), row)
            row += table.num_rows


@contextlib.contextmanager
def _batches(file: File) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    import pyarrow as pa

    with file.plain() as path, base.valid(file, "arrow"), pa.memory_map(str(path)) as source:
        if source.read(len(MAGIC)) == MAGIC:
            reader = pa.ipc.open_file(source)
            yield reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            source.seek(0)
            stream = pa.ipc.open_stream(source)
            yield stream.schema, iter(stream)
