"""The bytes of one file on their way: counted, slowed down where that was asked for, hashed, and proved before the last of them goes on."""

from __future__ import annotations

from collections.abc import Iterator

from polar_tools.errors import IntegrityError
from polar_tools.storage.base import Entry, Hashes, Snapshot
from polar_tools.transfer.progress import Progress


class Passage:
    """One file of a snapshot as a Target takes it (see storage.base.Content): in one go, or part by part over one connection."""

    def __init__(self, snapshot: Snapshot, entry: Entry, progress: Progress) -> None:
        self.entry = entry
        self._snapshot, self._progress = snapshot, progress
        self._hashes = Hashes(entry)
        self._part = (0, self._hashes.copy())  # where the last part began, and what had been hashed by then
        self._chunks: Iterator[bytes] | None = None
        self._rest = b""
        self._position = 0

    @property
    def seen(self) -> Entry:
        """The entry with the hashes of what was read."""
        return self._hashes.known(self.entry)

    def whole(self) -> bytes:
        """All the bytes at once."""
        return b"".join(self.read())

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to `stop`; raises IntegrityError instead of giving the last ones of a file that isn't as promised."""
        end = None if stop is None or stop >= self.entry.size else stop
        self._seek(start)
        held = b""
        while (chunk := self._take(end)) != b"":
            self._hashes.update(chunk)
            if held:
                yield held
            held = chunk
        if wrong := (self._hashes.differs(self.entry) if end is None else self._short_of(end)):
            self._chunks = None
            raise IntegrityError(
                f"{self.entry.path}: the source sent {wrong}; run the same command again, and if it stays so, the source is damaged"
            )
        if held:
            yield held

    def _seek(self, start: int) -> None:
        """Go on where the last part ended, or back to where it began."""
        if self._chunks is not None and start == self._position:
            self._part = (start, self._hashes.copy())
            return
        if start != self._part[0]:
            raise ValueError(f"parts come in order: {start} is neither the end of the last one nor its beginning")
        self._progress.moved(start - self._position)
        self._hashes, self._position, self._rest = self._part[1].copy(), start, b""
        self._chunks = self._snapshot.read(self.entry, start)

    def _take(self, end: int | None) -> bytes:
        """The next bytes, not beyond `end`; none at the end."""
        assert self._chunks is not None
        chunk = self._rest or next(self._chunks, b"")
        limit = len(chunk) if end is None else end - self._position
        taken, self._rest = chunk[:limit], chunk[limit:]
        self._position += len(taken)
        self._progress.moved(len(taken))
        return taken

    def _short_of(self, end: int) -> str | None:
        return None if self._position == end else f"{self._position} bytes instead of {self.entry.size}"
