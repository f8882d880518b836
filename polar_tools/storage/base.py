"""The one protocol of every store, by URI scheme.

A backend is a file with SCHEME, check(source, sha256), local_files(source) and open(source, sha256); open is a context
manager that pins the source to one state and yields it as a Snapshot.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polar_tools.errors import WorldError

CHUNK = 1 << 20
"""Bytes that are read at a time."""


@dataclass(frozen=True)
class Entry:
    """One file of a snapshot: its path below the snapshot's root, its size in bytes, and what it must hash to, if known."""

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """A source pinned to one state: what identifies it, its files in the order in which they are best read, how to read one."""

    identity: dict[str, str]
    entries: tuple[Entry, ...]
    read: Callable[[Entry], Iterator[bytes]]


class Hashes:
    """sha256 and git's blob id of bytes as they pass by."""

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        self.size = 0

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._sha256.update(chunk)
        self._git.update(chunk)
        self.size += len(chunk)

    def differs(self, entry: Entry) -> str | None:
        """What is not as `entry` promises, in words, or None."""
        if self.size != entry.size:
            return f"{self.size} bytes instead of {entry.size}"
        if entry.sha256 is not None and self._sha256.hexdigest() != entry.sha256:
            return f"sha256 {self._sha256.hexdigest()} instead of {entry.sha256}"
        if entry.sha256 is None and entry.git_sha1 is not None and self._git.hexdigest() != entry.git_sha1:
            return f"git blob id {self._git.hexdigest()} instead of {entry.git_sha1}"
        return None


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raise WorldError unless `needed` more bytes fit where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorldError(f"no space left: {needed:,} bytes are to come, and {free:,} are free where {folder} lies")
