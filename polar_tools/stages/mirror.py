"""Copy a source exactly: every byte hashed as it passes, nothing under its name before it is whole."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from polar_tools import storage
from polar_tools.artifact import Facts
from polar_tools.errors import IntegrityError, StorageError
from polar_tools.specs import MirrorSpec
from polar_tools.storage.base import CHUNK, Entry, Hashes, Snapshot, refuse_full_disk

LIBRARIES = ()


def run(spec: MirrorSpec, folder: Path) -> Facts:
    """Make `folder`/snapshot the same files as the source has now; whole files that an interrupted run left there stay."""
    target = folder / spec.PAYLOAD
    with storage.open_source(spec.source, spec.sha256) as snapshot:
        _remove_others(target, snapshot.entries)
        copy(snapshot, target)
    return Facts(recorded={"source": snapshot.identity})


def copy(snapshot: Snapshot, target: Path) -> None:
    """Write every file of `snapshot` below `target` and leave other files there alone.

    Raises IntegrityError for a name or a byte that isn't right, WorldError where the disk is too small.
    """
    _refuse_names(snapshot.entries)
    target.mkdir(parents=True, exist_ok=True)
    missing = [entry for entry in snapshot.entries if not _is_there(entry, target / entry.path)]
    refuse_full_disk(target, sum(entry.size for entry in missing))
    for entry in missing:
        _copy_file(snapshot, entry, target / entry.path)


def _copy_file(snapshot: Snapshot, entry: Entry, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Not after the file, whose name may be as long as a name can be.
    temporary = file.with_name(f".{os.getpid()}.part")
    hashes = Hashes(entry.size)
    try:
        with temporary.open("wb") as output:
            for chunk in snapshot.read(entry):
                hashes.update(chunk)
                output.write(chunk)
        if wrong := hashes.differs(entry):
            raise IntegrityError(
                f"{entry.path}: the source sent {wrong}; run the same command again, and if it stays so, the source is damaged"
            )
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _is_there(entry: Entry, file: Path) -> bool:
    """Whether `file` holds what the source promises; a source that promises no hash is always read."""
    if (entry.sha256 or entry.git_sha1) is None or not file.is_file() or file.stat().st_size != entry.size:
        return False
    hashes = Hashes(entry.size)
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            hashes.update(chunk)
    return hashes.differs(entry) is None


def _remove_others(target: Path, entries: Iterable[Entry]) -> None:
    """Remove what lies below `target` and isn't in the source, such as files of an older state of it."""
    wanted = {entry.path for entry in entries}
    for path in sorted(target.rglob("*"), reverse=True):  # what lies in a folder comes before the folder
        if not path.is_dir():
            if path.relative_to(target).as_posix() not in wanted:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


def _refuse_names(entries: tuple[Entry, ...]) -> None:
    """Raise where a name would leave the target folder, can't be written down, or is one with another on some disks."""
    if not entries:
        raise StorageError("the source holds no files")
    seen: dict[str, str] = {}
    for entry in entries:
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.path or entry.path != str(path):
            raise IntegrityError(f"the source names a file {entry.path!r}, which is no plain path below the target folder")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in entry.path):
            raise IntegrityError(f"the source names a file {entry.path!r}, whose name holds what is no text")
        for name in (entry.path, *(f"{folder}/" for folder in path.parents)):
            other = seen.setdefault(unicodedata.normalize("NFC", name).lower().rstrip("/"), name)
            if other != name:
                raise IntegrityError(f"the source names both {other!r} and {name!r}, which some disks can't tell apart")
