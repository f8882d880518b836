"""Which files of a source are to be copied, and which no copy may carry: names that lead elsewhere, pickles where they aren't wanted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from polar_tools.errors import IntegrityError, UserError
from polar_tools.storage.base import Entry, Snapshot

PICKLES = (".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
"""Suffixes of files that run code when they are loaded as what they claim to be."""
HEADER_LIMIT = 100_000_000
"""Bytes that a safetensors header may have; the library's own limit."""


@dataclass(frozen=True)
class Selection:
    """What is copied, and what isn't: the path and the pattern that says so (`--allow` where no pattern allows it)."""

    entries: tuple[Entry, ...]
    left_out: dict[str, str]
    pickles: tuple[str, ...]


def select(snapshot: Snapshot, allow: Sequence[str], ignore: Sequence[str]) -> Selection:
    """The files of `snapshot` that some pattern of `allow` (or none is given) and no pattern of `ignore` matches.

    Raises IntegrityError for a name that is no plain path, UserError where the patterns leave nothing.
    """
    refuse_names(snapshot.entries)
    left_out = {entry.path: why for entry in snapshot.entries if (why := leaves_out(entry.path, allow, ignore))}
    entries = tuple(entry for entry in snapshot.entries if entry.path not in left_out)
    if snapshot.entries and not entries:
        raise UserError(f"the patterns leave none of the {len(snapshot.entries)} files, such as {snapshot.entries[0].path}")
    pickles = tuple(sorted(entry.path for entry in entries if entry.path.lower().endswith(PICKLES)))
    return Selection(entries, left_out, pickles)


def leaves_out(path: str, allow: Iterable[str], ignore: Iterable[str]) -> str | None:
    """The pattern that keeps `path` out, or None. Patterns are those of huggingface_hub: `*` crosses slashes, `folder/` is all below."""
    allowed = [*allow]
    if allowed and not any(_matches(path, pattern) for pattern in allowed):
        return "--allow"
    return next((pattern for pattern in ignore if _matches(path, pattern)), None)


def refuse_pickles(snapshot: Snapshot, selection: Selection) -> None:
    """Raise UserError for a pickle, or for what calls itself safetensors and is something else."""
    if selection.pickles:
        raise UserError(f"--safetensors-only: the source has pickle files: {', '.join(selection.pickles)}; leave them out with --ignore")
    for entry in selection.entries:
        if entry.path.lower().endswith(".safetensors") and not _is_safetensors(snapshot, entry):
            raise UserError(f"--safetensors-only: {entry.path} is no safetensors file, whatever its name says")


def refuse_names(entries: Iterable[Entry]) -> None:
    """Raise IntegrityError where a name would leave the target or can't be written down."""
    for entry in entries:
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.path or entry.path != str(path) or entry.path == ".":
            raise IntegrityError(f"the source names a file {entry.path!r}, which is no plain path below the target folder")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in entry.path):
            raise IntegrityError(f"the source names a file {entry.path!r}, whose name holds what is no text")


def _matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern)


def _is_safetensors(snapshot: Snapshot, entry: Entry) -> bool:
    """Whether the file begins as safetensors do: the length of a JSON object, in 8 bytes, and the object."""
    head = b""
    for chunk in snapshot.read(entry, 0):
        head += chunk
        if len(head) > 8:
            break
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= min(HEADER_LIMIT, entry.size - 8)
