"""What was worked out before a kill, batch by batch: the same work on the same rows takes it from here, and does the rest.

Work that is kept goes through `in_batches`, in an order that its rows alone decide. So batches come again in the same order, however often
the work was stopped, and numbers that depend, in their last digits, on who was in a batch are those of a run that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from polar_tools import memory, signals
from polar_tools.errors import UnfinishedError
from polar_tools.records import fingerprint

Row = TypeVar("Row")

_open: list[Journal] = []


class Journal:
    """A file of JSON lines: what the work is made from, then a line a batch, each on the disk before the next is begun."""

    def __init__(self, file: Path, made_from: str) -> None:
        self._known = _read(file, made_from)
        self.kept = len(self._known)
        """Batches that were there already, as far as they were asked for again."""
        self._done = 0
        whole = [json.dumps({"made_from": made_from}), *map(json.dumps, self._known)]
        temporary = file.with_name(f".{file.name}.tmp")
        temporary.write_text("".join(line + "\n" for line in whole), encoding="utf-8")
        temporary.replace(file)  # without the line that was being written
        self._file = file.open("a", encoding="utf-8")

    def close(self) -> None:
        """No more batches follow."""
        self._file.close()

    def through(self, what: str, batch: Sequence[Any], given: Sequence[Any], work: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """What `work` makes of `batch`, or made before; `given` is what it is made from."""
        if (found := self._before(what, given)) is not None:
            return found
        with signals.saving_first():
            made = list(work())
            line = {"what": what, "rows": len(batch), "given": fingerprint(given), "made": made}
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._done += 1
            if (told := signals.asked()) is not None:
                raise UnfinishedError(f"stopped by {told}: {self._done} batches are kept; run the same command again to go on")
        return made

    def _before(self, what: str, given: Sequence[Any]) -> Sequence[Any] | None:
        """What the next batch made before. Raises MemoryError where memory ran out then, so that batches become as small again."""
        if self._done >= len(self._known):
            return None
        line = self._known[self._done]
        same = line["what"] == what and line["rows"] <= len(given) and line["given"] == fingerprint(given[: line["rows"]])
        if not same:  # it can't be: the work is the same
            raise UnfinishedError(
                f"{self._file.name} holds other batches than those of this work; remove it, then run the same command again"
            )
        if line["rows"] < len(given):
            raise MemoryError
        self._done += 1
        made: Sequence[Any] = line["made"]
        return made


@contextmanager
def kept(file: Path, made_from: str, other: Path | None = None) -> Iterator[Journal]:
    """While this lasts, batches go through the journal `file`, which is of the work `made_from`; one of other work is forgotten.

    `other` is where a journal of the same work may lie too. The file is there as long as nobody removes it.
    """
    if other is not None and _header(file) != made_from and _header(other) == made_from:
        shutil.copyfile(other, file)
    journal = Journal(file, made_from)
    if journal.kept:
        print(f"{file.parent}: going on: {journal.kept} batches were kept", flush=True)
    _open.append(journal)
    try:
        yield journal
    finally:
        _open.remove(journal)
        journal.close()


def in_batches(
    what: str,
    rows: Sequence[Row],
    most: int,
    work: Callable[[Sequence[Row]], Sequence[Any]],
    given: Callable[[Row], Any],
    fitting: Callable[[Sequence[Row]], int] | None = None,
) -> Iterator[tuple[Sequence[Row], Sequence[Any]]]:
    """As memory.in_batches, by way of the journal where one is open. `given` is what a row is made from.

    What `work` makes of a row must be what JSON can hold: a tuple comes back as a list.
    """
    journal = _open[-1] if _open else None

    def through(batch: Sequence[Row]) -> Sequence[Any]:
        return work(batch) if journal is None else journal.through(what, batch, [given(row) for row in batch], lambda: work(batch))

    yield from memory.in_batches(what, rows, most, through, fitting)


def _header(file: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError), file.open(encoding="utf-8") as lines:
        made_from: str = json.loads(lines.readline())["made_from"]
        return made_from
    return None


def _read(file: Path, made_from: str) -> list[dict[str, Any]]:
    """The batches in a journal, up to the first line that isn't whole; none of one of other work."""
    if _header(file) != made_from:
        return []
    found: list[dict[str, Any]] = []
    with file.open("rb") as lines:
        next(lines)
        for line in lines:
            with suppress(ValueError):
                found.append(json.loads(line))
                continue
            break
    return found
