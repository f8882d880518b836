"""What every format shares: files, compressed or not, in pieces of bounded size; rows that can't be read; numbers of rows.

A format is a file with

- SUFFIXES: the endings of its files (below that of a compression);
- schema(file, known): the columns of one file. `known` is the schema of the files before, whose types it may go on with. Rows that
  can't be read are passed over;
- read(file, schema, bad): its rows as tables of `schema` and ROW, numbered from 0 within the file. A row that can't be read is handed
  to `bad`, keeps its number, and the next one is read.

A format of whole folders also has MARKS, names of files by one of which such a folder is known, and select(files), those that hold rows.
A format whose rows stand in lines has places(file): line and raw bytes of every row.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError
from polar_tools.filters.base import ROW as ROW

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 4 << 20
"""Bytes read at once."""
LONGEST = 64 << 20
"""Bytes that one row may have where rows are lines of text."""
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".xz": "xz"}


@dataclass(frozen=True)
class BadRow:
    """A row that can't be read: where it stands, why, and its bytes as they are."""

    file: str
    row: int
    """Its number."""
    line: int | None
    """The line where it begins, as an editor counts; None where the format has no lines."""
    column: str | int | None
    """The column, by number where it has no name; None where the whole row is meant."""
    reason: str
    raw: bytes

    def __str__(self) -> str:
        place = f"{self.file}, row {self.row + 1}" if self.line is None else f"{self.file}, line {self.line}"
        if self.column is None:
            return f"{place} {self.reason}"
        return f"{place}, column {self.column if isinstance(self.column, int) else f'`{self.column}`'}: {self.reason}"


OnBad = Callable[[BadRow], None]


@dataclass(frozen=True)
class File:
    """A file of a source; `name` is what messages call it."""

    path: Path
    name: str

    @property
    def compression(self) -> str | None:
        """How the file is packed, by its ending."""
        return COMPRESSIONS.get(self.path.suffix.lower())

    @property
    def unpacked_name(self) -> str:
        """The file's own name without the ending of a compression, in small letters."""
        name = self.path.name.lower()
        return name.removesuffix(self.path.suffix.lower()) if self.compression else name

    @property
    def suffix(self) -> str:
        """The ending that tells the format."""
        return PurePath(self.unpacked_name).suffix

    def chunks(self) -> Iterator[bytes]:
        """The unpacked bytes in pieces of CHUNK, only the last one shorter; raises DataError for an archive that is damaged or cut off."""
        with contextlib.closing(self._opened()) as stream:
            while chunk := self._filled(stream):
                yield chunk

    def text_chunks(self) -> Iterator[bytes]:
        """Like `chunks`, without a byte order mark; raises DataError for UTF-16."""
        for number, chunk in enumerate(self.chunks()):
            if number == 0 and chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise DataError(f"{self.name} is written in UTF-16; save it as UTF-8")
            yield chunk.removeprefix(b"\xef\xbb\xbf") if number == 0 else chunk

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Pieces of whole lines, each with the number of its first line; raises DataError for a line longer than LONGEST."""
        line, rest = 1, b""
        for chunk in self.text_chunks():
            cut = chunk.rfind(b"\n") + 1
            if len(rest) + (cut or len(chunk)) > LONGEST + CHUNK:
                raise DataError(f"{self.name}, line {line} is longer than {LONGEST >> 20} MB; is its `format` right?")
            if cut:
                whole, rest = b"".join((rest, memoryview(chunk)[:cut])), chunk[cut:]
                yield line, whole
                line += count(whole, b"\n")
            else:
                rest += chunk
        if rest:
            yield line, rest

    @contextlib.contextmanager
    def plain(self) -> Iterator[Path]:
        """The path of the unpacked file, for formats that must jump about in it."""
        if not self.compression:
            yield self.path
            return
        with tempfile.NamedTemporaryFile() as unpacked:
            for chunk in self.chunks():
                unpacked.write(chunk)
            unpacked.flush()
            yield Path(unpacked.name)

    def _opened(self) -> Any:
        import lzma

        import pyarrow as pa

        if self.compression is None:
            return self.path.open("rb", buffering=0)
        if self.compression == "xz":
            return lzma.open(self.path)
        return pa.CompressedInputStream(pa.OSFile(str(self.path)), self.compression)

    def _filled(self, stream: Any) -> bytes:
        """The next CHUNK bytes of `stream`, fewer only at its end."""
        import lzma

        pieces, missing = [], CHUNK
        try:
            while missing and (piece := stream.read(missing)):
                pieces.append(piece)
                missing -= len(piece)
        except (OSError, EOFError, lzma.LZMAError) as error:
            if self.compression is None:
                raise
            raise DataError(f"{self.name} is damaged or cut off: {error}; fetch it again") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@contextlib.contextmanager
def valid(file: File, format: str) -> Iterator[None]:
    """Turns what pyarrow says of a damaged file into a DataError that names it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the data
        raise DataError(f"{file.name} is not valid {format}: {error}") from error


def count(data: bytes | memoryview, letter: bytes) -> int:
    """How often `letter` stands in `data`; several times as fast as bytes.count."""
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord(letter)))


def numbered(table: pa.Table, numbers: Sequence[int] | Any) -> pa.Table:
    """`table` with the numbers of its rows."""
    import pyarrow as pa

    rows = pa.array(numbers, pa.int64())
    return table.append_column(ROW, rows) if table.num_columns else pa.table({ROW: rows})


def counted(table: pa.Table, first: int) -> pa.Table:
    """`table` with its rows numbered from `first` on."""
    import numpy as np

    return numbered(table, np.arange(first, first + table.num_rows))


def checked(table: pa.Table, file: File, first: int) -> pa.Table:
    """`table`, whose memory was written by others, after a look at every offset and every letter of it; raises DataError."""
    import pyarrow as pa

    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowException as error:
            place = f"{file.name}, rows {first + 1} to {first + table.num_rows}, column `{name}`"
            raise DataError(f"{place}: {error}") from error
    return table


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` with values in place of dictionaries and views, which not every function knows, and without metadata."""
    import pyarrow as pa

    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    types = [field.type.value_type if pa.types.is_dictionary(field.type) else views.get(field.type, field.type) for field in schema]
    return pa.schema(list(zip(schema.names, types, strict=True)))
