"""Tables that may be too many for memory, to be gone through more than once."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from polar_tools import ahead

if TYPE_CHECKING:
    import pyarrow as pa


class Spool:
    """The tables of an iterator, all of one schema, in a temporary file that has no name and is gone with this process."""

    def __init__(self, chunks: Iterable[pa.Table]) -> None:
        self.rows = 0
        self.schema: pa.Schema | None = None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this object)
        weakref.finalize(self, self._file.close)
        self._writer: pa.RecordBatchStreamWriter | None = None
        ahead.each(self._write, chunks)
        if self._writer is not None:
            self._writer.close()

    def _write(self, table: pa.Table) -> None:
        import pyarrow as pa

        if self._writer is None:
            self.schema = table.schema
            self._writer = pa.ipc.new_stream(self._file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        self._writer.write_table(table)
        self.rows += table.num_rows

    def __iter__(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        if self.schema is None:
            return
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as stream:
            for batch in stream:
                yield pa.Table.from_batches([batch])
