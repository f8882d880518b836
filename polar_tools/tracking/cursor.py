"""What a tracker was told already of an artifact: a small file in the artifact's folder, which may be lost without harm."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from polar_tools.records import canonical, read_json, write_whole
from polar_tools.trackers.base import NOTES


@dataclass
class Cursor:
    """What was sent to one tracker of one artifact."""

    run: str
    destination: str
    made_from: str
    run_id: str = ""
    steps: dict[str, int] = field(default_factory=dict)
    """The last step of each figure."""
    files: dict[str, str] = field(default_factory=dict)
    """Files by the sha256 that they had."""
    settled: bool = False
    """Whether all that was sent is noted. Where it isn't, the tracker is asked what it has."""
    model: bool = False
    finished: str = ""
    """The sha256 of the record, once all of it was sent."""


def read(folder: Path, tracker: str, run: str, destination: str, made_from: str) -> Cursor:
    """What is noted of `tracker` in the artifact `folder`; nothing where it is of another run, place or state of the artifact."""
    fresh = Cursor(run, destination, made_from)
    known = read_json(_file(folder, tracker))
    if known is None:
        return fresh
    try:
        cursor = Cursor(**known)
    except TypeError:  # of another version
        return fresh
    return cursor if (cursor.run, cursor.destination, cursor.made_from) == (run, destination, made_from) else fresh


def write(folder: Path, tracker: str, cursor: Cursor) -> None:
    """Note it."""
    write_whole(_file(folder, tracker), canonical(asdict(cursor)))


def _file(folder: Path, tracker: str) -> Path:
    return folder / NOTES / tracker / "cursor.json"
