"""Send what trackers missed of artifacts that lie on disk, or say what that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from polar_tools import lock, provenance, secrets
from polar_tools.artifact import read_json
from polar_tools.errors import UnfinishedError, UserError
from polar_tools.tracker_config import Settings
from polar_tools.tracking import runs, sending


@dataclass(frozen=True)
class Standing:
    """How one artifact stands with one tracker."""

    path: str
    tracker: str
    state: str
    """`complete`; `partly`: all that there is so far; `missing`; `busy`: another process sends it; `away`: the tracker is."""
    points: int = 0
    files: int = 0
    why: str = ""

    def __str__(self) -> str:
        sent = f", {self.points} points and {self.files} files sent" if self.points or self.files else ""
        return f"{self.path}  {self.tracker}  {self.state}{sent}{f': {self.why}' if self.why else ''}"


class Replay:
    """All artifacts at or below `paths` that trackers are told of: those of `settings`, or where there are none those of each project."""

    def __init__(self, paths: Iterable[Path], settings: Settings | None = None) -> None:
        self.paths, self.settings = tuple(paths), settings
        self._senders: dict[tuple[Path, str], sending.Sender] = {}

    def look(self) -> Iterator[Standing]:
        """What is missing, as far as is noted; nothing is sent."""
        for folder, sender in self._all():
            yield Standing(sender.path, sender.options.tracker, "complete" if sender.is_complete else _missing(folder))

    def send(self) -> Iterator[Standing]:
        """Send it. A tracker that isn't there is not tried again for the artifacts that follow."""
        away: dict[str, str] = {}
        for folder, sender in self._all():
            name = sender.options.tracker
            if sender.is_complete:
                yield Standing(sender.path, name, "complete")
            elif name in away:
                yield Standing(sender.path, name, "away", why=away[name])
            else:
                standing = _sent(folder, sender)
                if standing.state == "away":
                    away[name] = standing.why
                yield standing

    def close(self) -> None:
        """Let go of all that is still open."""
        for sender in self._senders.values():
            sender.drop()

    def _all(self) -> Iterator[tuple[Path, sending.Sender]]:
        """Each artifact with each tracker; trainings first, for the others belong to their runs."""
        for folder in sorted(
            _found(self.paths), key=lambda folder: ((read_json(folder / "spec.json") or {}).get("stage") != "train", folder)
        ):
            root = provenance.root_of(folder)
            settings = self.settings or _settings(root)
            for options in settings.trackers:
                key = (folder, options.tracker)
                if key not in self._senders:
                    path = folder.relative_to(root).as_posix()
                    self._senders[key] = sending.Sender(root, path, settings.project_name, options)
                yield folder, self._senders[key]


def _found(paths: Iterable[Path]) -> set[Path]:
    """What there is something to tell of; not what was set aside, nor records that a publication carries."""
    found = set()
    for path in paths:
        for file in path.resolve().rglob("spec.json"):
            below = file.relative_to(path.resolve()).parts
            hidden = any(part.startswith(".") for part in below) or ("polar", "records") in pairwise(below)
            there = (file.parent / "manifest.json").is_file() or (file.parent / "metrics.jsonl").is_file()
            if there and not hidden and (read_json(file) or {}).get("stage") in runs.TRACKED:
                found.add(file.parent)
    return found


def _settings(root: Path) -> Settings:
    from polar_tools import tracker_config

    settings = tracker_config.read(root)
    if settings is None:
        raise UserError(
            f"no trackers are set for {root}: add `run: {{trackers: [mlflow]}}` to the config and run `snakemake -n`, or --tracker"
        )
    return settings


def _missing(folder: Path) -> str:
    return "missing" if (folder / "manifest.json").is_file() else "partly"


def _is_at_work(folder: Path) -> bool:
    held = lock.holder(folder)
    return not (folder / "manifest.json").is_file() and held is not None and held[1]


def _sent(folder: Path, sender: sending.Sender) -> Standing:
    name = sender.options.tracker
    try:
        sent = sender.send(ended=not _is_at_work(folder))
    except UnfinishedError as error:
        sender.drop()
        return Standing(sender.path, name, "busy", why=secrets.redacted(str(error)))
    except Exception as error:  # whatever a tracker's library raises
        sender.drop()
        return Standing(sender.path, name, "away", why=sending.why(sender.options, error))
    return Standing(sender.path, name, "complete" if sent.complete else "partly", sent.points, sent.files)


def as_dict(standing: Standing) -> dict[str, Any]:
    """For programs."""
    return {key: value for key, value in vars(standing).items() if value not in ("", 0)}
