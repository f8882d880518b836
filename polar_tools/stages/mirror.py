"""Copy a source exactly: every byte hashed as it passes, nothing under its name before it is whole."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from polar_tools import storage
from polar_tools.artifact import Facts
from polar_tools.errors import IntegrityError, StorageError, WorldError
from polar_tools.specs import MirrorSpec
from polar_tools.storage.base import Entry, Hashes, Snapshot

LIBRARIES = ()


def run(spec: MirrorSpec, folder: Path) -> Facts:
    """Make `folder`/snapshot the same files as the source has now."""
    target = folder / spec.PAYLOAD
    shutil.rmtree(target, ignore_errors=True)
    with storage.open_source(spec.source, spec.sha256) as snapshot:
        copy(snapshot, target)
    return Facts(recorded={"source": snapshot.identity})


def copy(snapshot: Snapshot, target: Path) -> None:
    """Write every file of `snapshot` below `target`; raises IntegrityError for a name or a byte that isn't right."""
    _refuse_unsafe(snapshot.entries)
    target.mkdir(parents=True, exist_ok=True)
    needed, free = sum(entry.size for entry in snapshot.entries), shutil.disk_usage(target).free
    if needed > free:
        raise WorldError(f"no space left: the source has {needed:,} bytes, and {free:,} are free where {target} lies")
    for entry in snapshot.entries:
        _copy_file(snapshot, entry, target / entry.path)


def _copy_file(snapshot: Snapshot, entry: Entry, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name[:200]}.part")
    hashes = Hashes(entry.size)
    with temporary.open("wb") as output:
        for chunk in snapshot.read(entry):
            hashes.update(chunk)
            output.write(chunk)
    if wrong := hashes.differs(entry):
        temporary.unlink()
        raise IntegrityError(f"{entry.path}: the source sent {wrong}; run the same command again, and if it stays so, the source is damaged")
    temporary.replace(file)


def _refuse_unsafe(entries: tuple[Entry, ...]) -> None:
    if not entries:
        raise StorageError("the source holds no files")
    seen: dict[str, str] = {}
    for entry in entries:
        parts = PurePosixPath(entry.path).parts
        if entry.path.startswith("/") or ".." in parts or "\\" in entry.path or any(ord(letter) < 32 for letter in entry.path):
            raise IntegrityError(f"the source names a file {entry.path!r}, which would leave the target folder")
        other = seen.setdefault(entry.path.casefold(), entry.path)
        if other != entry.path:
            raise IntegrityError(f"the source names both {other!r} and {entry.path!r}, which some disks can't tell apart")


