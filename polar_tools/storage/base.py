"""The one protocol of every store, by URI scheme.

A backend is a file with SCHEME, check(source, sha256), local_files(source), open(source, sha256, access) and
receive(target, access, placement). `open` pins a source to one state and yields it as a Snapshot; `receive` yields a Target. Both are
context managers that close what they opened. A store that can't be written raises a UserError from `receive`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from polar_tools.errors import UserError, WorldError

CHUNK = 1 << 20
"""Bytes that are read at a time."""
INLINE = 10_000_000
"""Up to this many bytes a file is held in memory whole; a Hub takes larger ones as LFS only."""

COMMIT_FILES = 100
"""Files a commit at most, as the Hub asks for."""
SCRATCH = "polar-tools-tag-"
"""How the name of a branch begins that exists only until a tag stands on it."""


@dataclass(frozen=True)
class Access:
    """How one side of a copy is reached, where it isn't as the environment says; the token is shown to nobody."""

    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    profile: str | None = None


@dataclass(frozen=True)
class Placement:
    """What is said to a store about what is put there."""

    private: bool = False
    message: str | None = None


@dataclass(frozen=True)
class Entry:
    """One file: its path below the root, its size in bytes, what it hashes to if known, and whether git LFS keeps it.

    `git_sha1` is git's blob id of the content itself, never of an LFS pointer.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    lfs: bool = False

    @property
    def in_git(self) -> bool:
        """Whether the content itself may lie in git, and has a blob id there."""
        return not self.lfs and (self.size <= INLINE or self.git_sha1 is not None)

    def agrees(self, other: Entry) -> bool | None:
        """Whether both are the same content; None where they have no hash in common."""
        if self.size != other.size:
            return False
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        if self.git_sha1 and other.git_sha1:
            return self.git_sha1 == other.git_sha1
        return None

    def blob_id(self) -> str:
        """The id of what a Hub keeps of it in git: the content, or the LFS pointer that stands for it. The sha256 must be known."""
        if self.git_sha1 is not None:
            return self.git_sha1
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Snapshot:
    """A source pinned to one state: what identifies it, its files in the order in which they are best read, how to read one.

    `read(entry, start)` gives the bytes of a file from `start` on. `refs()` are the commits of its branches and tags by name,
    `elsewhere(commit)` is the source at another commit: a store without history has neither. `sequential` asks for one reader at a time.
    """

    identity: dict[str, str]
    entries: tuple[Entry, ...]
    read: Callable[[Entry, int], Iterator[bytes]]
    refs: Callable[[], dict[str, dict[str, str]]] | None = None
    elsewhere: Callable[[str], Snapshot] | None = None
    sequential: bool = False
    private: bool = False
    vouches: bool = False
    """Whether the store itself made the hashes of the listing out of the bytes."""
    endpoint: str | None = None
    origin: object = None
    """What its own backend may use for a copy within the store."""


class Hashes:
    """sha256 and, of what git keeps without LFS, git's blob id of an entry's bytes as they pass by."""

    def __init__(self, entry: Entry) -> None:
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(f"blob {entry.size}\0".encode(), usedforsecurity=False) if entry.in_git else None
        self.size = 0

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._sha256.update(chunk)
        if self._git is not None:
            self._git.update(chunk)
        self.size += len(chunk)

    def copy(self) -> Hashes:
        """The same state, to go on from twice."""
        twin = Hashes.__new__(Hashes)
        twin._sha256, twin._git, twin.size = self._sha256.copy(), self._git and self._git.copy(), self.size
        return twin

    def known(self, entry: Entry) -> Entry:
        """`entry` with what was seen of it."""
        return replace(entry, sha256=self._sha256.hexdigest(), git_sha1=self._git.hexdigest() if self._git else entry.git_sha1)

    def differs(self, entry: Entry) -> str | None:
        """What is not as `entry` promises, in words, or None."""
        if self.size != entry.size:
            return f"{self.size} bytes instead of {entry.size}"
        seen = self.known(entry)
        if entry.sha256 is not None and seen.sha256 != entry.sha256:
            return f"sha256 {seen.sha256} instead of {entry.sha256}"
        if entry.git_sha1 is not None and seen.git_sha1 != entry.git_sha1:
            return f"git blob id {seen.git_sha1} instead of {entry.git_sha1}"
        return None


class Content(Protocol):
    """The bytes of one file on their way, hashed as they pass; the last of them come only after all have proved right."""

    entry: Entry

    @property
    def seen(self) -> Entry:
        """The entry with the hashes of what was read: after the last byte, those of the file."""

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to `stop`. Parts come in order; a part that failed may be asked for again."""

    def whole(self) -> bytes:
        """All the bytes of a file that is small enough to be held."""


class Target(ABC):
    """A place that receives files. `put` is called by several threads at once, everything else by one."""

    url: str
    """What a person opens to see it."""
    named_by_content = False
    """Whether the sha256 of a file of more than INLINE bytes must be known before its first byte is sent."""

    public = False
    """Whether everyone may read it."""
    own_files: tuple[str, ...] = ()
    """Files that the store makes itself: where the source has none of the name, they may stay."""

    @property
    def identity(self) -> dict[str, str]:
        """What identifies the state that it is in: the commit, if there is such a thing."""
        return {}

    @abstractmethod
    def entries(self) -> tuple[Entry, ...]:
        """The files that are there now; none where there is no such place yet. Creates nothing."""

    def hashed(self, entry: Entry) -> Entry | None:
        """A file that is there, with its hashes, where that sends nothing over a network."""
        return None

    def refuse(self, entries: Sequence[Entry]) -> None:  # noqa: B027 (most stores take any name)
        """Raise an error for names that this store can't hold. Creates nothing."""

    def create(self, source: Snapshot, whole: bool) -> bool:
        """Make the place where it isn't there yet, and return whether it did; `whole` says that all that `source` holds is to come."""
        return False

    def take(self, source: Snapshot, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Have the store itself bring over what it can of these files; they are seen then, and needn't be put. Mostly none."""
        return ()

    def expect(self, entries: Sequence[Entry]) -> None:  # noqa: B027 (few want to know)
        """What will be put, in that order."""

    @abstractmethod
    def put(self, content: Content) -> Entry:
        """Store a file whole or not at all; returns its entry with the sha256. It may stay unseen until `commit`."""

    @abstractmethod
    def commit(self, added: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        """Make seen what was put, and remove files by their paths."""

    def branch(self, name: str) -> Target:
        """The same place at the branch `name`, which begins as what is here now if it isn't there yet."""
        raise UserError(f"{self.url} keeps no branches or tags; leave --all-refs out")

    def tag(self, name: str) -> None:
        """Let the tag `name` mean what is at this branch now; the branch was for this alone, and goes, if its name says so."""
        raise UserError(f"{self.url} keeps no branches or tags; leave --all-refs out")


def endpoint_of(access: Access, default: str) -> str:
    """The address of a store; raises UserError for one that holds a password, for addresses are shown and recorded."""
    endpoint = (access.endpoint or default).rstrip("/")
    if not re.fullmatch(r"https?://[^/@\s]+(/[^@\s]*)?", endpoint):
        raise UserError("an endpoint is of the form https://HOST, without user or password: those belong into the environment")
    return endpoint


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raise WorldError unless `needed` more bytes fit where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorldError(f"no space left: {needed:,} bytes are to come, and {free:,} are free where {folder} lies")
