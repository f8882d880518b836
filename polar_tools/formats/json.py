"""One JSON document: a list of objects, or an object of objects, read piece by piece."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError
from polar_tools.formats import base, jsonl

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".json",)
MUST = "must hold records: a list of objects, or an object of objects (where each line is one, `format: jsonl`)"
DECODER = json.JSONDecoder()
SPACES = " \t\r\n"
SPACE = re.compile(r"[ \t\r\n]*")
NEAR = 16
"""Letters from the end within which an error may come from the text having been cut there."""


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of all records of `file`."""
    return jsonl.survey(_blocks(file), known)


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The records of `file`."""
    return jsonl.tables(_blocks(file), file, schema, bad)


def _blocks(file: File) -> Iterator[jsonl.Block]:
    """The records in pieces of about a chunk."""
    records: list[tuple[int, bytes]] = []
    size = 0
    for line, record in _Document(file).records():
        records.append((line, record.encode()))
        size += len(record)
        if size >= base.CHUNK:
            yield _block(records)
            records, size = [], 0
    if records:
        yield _block(records)


def _block(records: list[tuple[int, bytes]]) -> jsonl.Block:
    return jsonl.Block(b"\n".join(raw.replace(b"\r", b" ").replace(b"\n", b" ") for _, raw in records), lambda: records)


class _Document:
    """The text of a document, of which only what is being read is in memory."""

    def __init__(self, file: File) -> None:
        self.file, self.text, self.at, self.line, self.whole = file, "", 0, 1, False
        self._chunks = self._decoded()

    def records(self) -> Iterator[tuple[int, str]]:
        """Line and text of each record."""
        opening = self._next("[{", "a list or an object")
        closing = "]" if opening == "[" else "}"
        if self._peek() == closing:
            self.at += 1
        else:
            while True:
                if opening == "{":
                    self._value(str, "a name")
                    self._next(":", "a colon")
                yield self._record()
                if self._next("," + closing, f"a comma or {closing}") == closing:
                    break
        if self._peek():
            raise self._error("there is more behind its end")

    def _record(self) -> tuple[int, str]:
        self._peek()
        line = self.line
        value, text = self._value(object, "a value")
        if not isinstance(value, dict):
            raise DataError(f"{self.file.name}, line {line}: {self.file.name} {MUST}")
        return line, text

    def _value(self, kind: type, name: str) -> tuple[Any, str]:
        """The next value and its text."""
        self._peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - NEAR
                if not (cut and self._more()):
                    raise self._error(error.msg, error.pos) from None
                continue
            except RecursionError:
                raise self._error("it is nested too deeply") from None
            if end < len(self.text) or not self._more():
                break
        if not isinstance(value, kind):
            raise self._error(f"{name} is expected")
        text = self.text[self.at : end]
        self._pass(end)
        return value, text

    def _next(self, expected: str, name: str) -> str:
        """The next letter that is no space, one of `expected`."""
        letter = self._peek()
        if not letter or letter not in expected:
            raise self._error(f"{name} is expected")
        self.at += 1
        return letter

    def _peek(self) -> str:
        """The next letter that is no space; empty at the end."""
        while True:
            if self.text[self.at : self.at + 1] in SPACES and (found := SPACE.match(self.text, self.at)):
                self._pass(found.end())
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def _pass(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _more(self) -> bool:
        """Read on, and forget what is passed; False at the end of the file."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        if len(self.text) - self.at > base.LONGEST:
            raise self._error(f"one record is longer than {base.LONGEST >> 20} MB")
        self.text, self.at = self.text[self.at :] + chunk, 0
        return True

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        line = 1
        try:
            for chunk in self.file.text_chunks():
                yield decoder.decode(chunk)
                line += chunk.count(b"\n")
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            byte = error.object[error.start]
            raise DataError(f"{self.file.name} is not valid json: line {line}: byte 0x{byte:02x} is not UTF-8; save it as UTF-8") from None

    def _error(self, reason: str, position: int | None = None) -> DataError:
        position = self.at if position is None else position
        line = self.line + self.text.count("\n", self.at, position)
        return DataError(f"{self.file.name} is not valid json: line {line}: {reason}")
