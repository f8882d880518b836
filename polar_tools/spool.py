"""Tables that may be too many for memory, to be gone through more than once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class Spool:
    """The tables of an iterator, all of one schema, in a temporary file that has no name and is gone with this process."""

    def __init__(self, chunks: Iterable[pa.Table]) -> None:
        import pyarrow as pa

        self.rows = 0
        self.schema: pa.Schema | None = None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this object)
        writer = None
        for table in chunks:
            if writer is None:
                self.schema = table.schema
                writer = pa.ipc.new_stream(self._file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
            writer.write_table(table)
            self.rows += table.num_rows
        if writer is not None:
            writer.close()

    def __iter__(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        if self.schema is None:
            return
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as stream:
            for batch in stream:
                yield pa.Table.from_batches([batch])
