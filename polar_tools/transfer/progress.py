"""How far a copy is: bars in a terminal, a line now and then elsewhere; and the brake and the emergency stop of all that moves."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

PAUSE = 15.0
"""Seconds between two lines where no terminal is."""


class Stopped(Exception):  # noqa: N818 (nothing went wrong here: another file did)
    """Ends the threads that still copy when the copy as a whole has failed."""


class Progress:
    """Counts files and bytes of a copy; several threads report to it. `bandwidth` is in bytes a second, None for all there is."""

    def __init__(self, shown: bool = False, bandwidth: int | None = None) -> None:
        self.files = self.bytes = 0
        self._total_files = self._total_bytes = 0
        self._shown, self._bandwidth = shown, bandwidth
        self._bars: list[tqdm[None]] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._free_at = self._said_at = self._began = time.monotonic()

    def start(self, files: int, size: int) -> None:
        """There are `files` to copy, `size` bytes in all."""
        self._total_files, self._total_bytes = self._total_files + files, self._total_bytes + size
        if self._shown and sys.stderr.isatty():
            self._draw()

    def moved(self, size: int) -> None:
        """`size` bytes more have come from the source; fewer than none where they have to come again. Waits where that is too fast."""
        if self._stop.is_set():
            raise Stopped
        with self._lock:
            self.bytes += size
            wait = self._due(size)
            self._say()
        if self._bars:
            self._bars[1].update(size)
        if wait > 0 and self._stop.wait(wait):
            raise Stopped

    def finished(self) -> None:
        """One file more is where it belongs."""
        with self._lock:
            self.files += 1
        if self._bars:
            self._bars[0].update(1)

    def stop(self) -> None:
        """Let every thread that reports end."""
        self._stop.set()

    def close(self) -> None:
        """Leave the terminal as it should be."""
        while self._bars:
            self._bars.pop().close()

    def _due(self, size: int) -> float:
        """Seconds until `size` bytes more were allowed to come, all threads together."""
        if self._bandwidth is None or size <= 0:
            return 0.0
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + size / self._bandwidth
        return self._free_at - now

    def _draw(self) -> None:
        from tqdm import tqdm

        self.close()
        self._bars = [
            tqdm(total=self._total_files, initial=self.files, unit="file", desc="files", position=0),
            tqdm(total=self._total_bytes, initial=self.bytes, unit="B", unit_scale=True, desc="bytes", position=1),
        ]

    def _say(self) -> None:
        now = time.monotonic()
        if not self._shown or self._bars or now - self._said_at < PAUSE or not self._total_bytes:
            return
        self._said_at = now
        left = (now - self._began) * (self._total_bytes - self.bytes) / max(self.bytes, 1)
        line = f"{self.files} of {self._total_files} files, {self.bytes:,} of {self._total_bytes:,} bytes, about {left:.0f} s to go"
        print(line, file=sys.stderr, flush=True)
