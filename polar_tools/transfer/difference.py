"""Two listings side by side: what must be sent, what is there already, what the target has besides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from polar_tools.storage.base import Entry


@dataclass(frozen=True)
class Difference:
    """Entries of the source that the target lacks, and entries that only the target has: those that might go, those that stay."""

    missing: tuple[Entry, ...]
    extra: tuple[Entry, ...]
    kept: tuple[Entry, ...]

    @property
    def in_the_way(self) -> tuple[Entry, ...]:
        """Files of the target that are folders in the source, and the other way round: both can't be."""
        folders = _folders(self.missing)
        files = {entry.path for entry in self.missing}
        return tuple(entry for entry in self.extra if entry.path in folders or not files.isdisjoint(_above(entry.path)))


def compare(
    wanted: Iterable[Entry],
    there: Iterable[Entry],
    protected: Callable[[str], bool],
    read_source: Callable[[Entry], Entry],
    read_target: Callable[[Entry], Entry | None],
    jobs: int,
) -> Difference:
    """Compare by content, reading nothing where the listings tell.

    `read_source` and `read_target` give an entry its hashes where they don't; files that are `protected` never count as extra.
    """
    wanted, present = tuple(wanted), {entry.path: entry for entry in there}

    def agrees(entry: Entry) -> bool:
        other = present.get(entry.path)
        known = False if other is None else entry.agrees(other)
        if known is None and other is not None:
            known = _agree_when_read(entry, other, read_source, read_target)
        return bool(known)

    with ThreadPoolExecutor(jobs) as pool:
        verdicts = tuple(pool.map(agrees, wanted))
    paths = {entry.path for entry in wanted}
    others = [entry for path, entry in sorted(present.items()) if path not in paths]
    return Difference(
        missing=tuple(entry for entry, same in zip(wanted, verdicts, strict=True) if not same),
        extra=tuple(entry for entry in others if not protected(entry.path)),
        kept=tuple(entry for entry in others if protected(entry.path)),
    )


def _agree_when_read(
    entry: Entry, other: Entry, read_source: Callable[[Entry], Entry], read_target: Callable[[Entry], Entry | None]
) -> bool:
    """Read the target's file where it lies on this machine, and the source's only where that doesn't tell."""
    if (hashed := read_target(other)) is None and not (other.sha256 or other.git_sha1):
        return False
    other = hashed or other
    known = entry.agrees(other)
    return bool(read_source(entry).agrees(other) if known is None else known)


def _folders(entries: Iterable[Entry]) -> set[str]:
    return {folder for entry in entries for folder in _above(entry.path)}


def _above(path: str) -> list[str]:
    return [str(folder) for folder in PurePosixPath(path).parents][:-1]
