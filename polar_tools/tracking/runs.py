"""Which run of a tracker an artifact belongs to: a training's, with all that was made of its model, or one of its own."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from polar_tools import secrets
from polar_tools.artifact import WORK, canonical, read_json
from polar_tools.trackers.base import NOTES, Run

TRACKED = ("train", "evaluate", "harness", "report", "publish")
"""Stages of which something is sent. What the others made is told of by the records behind a training."""
FILE = "run.json"
ORIGIN = ("spec", "inputs", "local_files")


def of(root: Path, path: str, project: str) -> Run:
    """The run of the artifact at `path` below `root`; its id is drawn where there is none yet."""
    owner = owner_of(root, path)
    experiment, run = _names(owner)
    return Run(_id(root / owner), owner, secrets.redacted(project), experiment, run, *_times(root / owner))


def owner_of(root: Path, path: str) -> str:
    """The training whose model an artifact measures or publishes, or else the artifact itself."""
    spec = read_json(root / path / "spec.json") or {}
    facts = (read_json(root / path / "record.json") or {}).get("facts", {})
    told = facts.get("artifact") if spec.get("stage") == "publish" else spec.get("trained")
    named = told if spec.get("stage") == "publish" else str(told or "").rpartition("/")[0]
    is_training = isinstance(named, str) and (read_json(root / named / "spec.json") or {}).get("stage") == "train"
    return str(named) if is_training else path


def _names(path: str) -> tuple[str, str]:
    """What stands for {experiment} and {run}: results/describe/seed0/train is describe and seed0."""
    words = path.split("/")
    named = words[words.index("results") + 1 :] if "results" in words else words
    if named[-1] in ("train",):
        named = named[:-1]
    return named[0], "/".join(named[1:]) or named[0]


def _times(folder: Path) -> tuple[float | None, float | None]:
    """When the last process that worked on the artifact began, and when it was finished."""
    manifest = read_json(folder / "manifest.json") or {}
    if "started" not in manifest:
        return None, None
    began = datetime.fromisoformat(manifest["started"]).timestamp()
    return began, began + manifest.get("measured", {}).get("seconds", 0.0)


def _id(folder: Path) -> str:
    """As the manifest has it, or the notes of who began to send; drawn anew where what lies there is made from something else."""
    manifest = read_json(folder / "manifest.json") or {}
    for told in manifest.get("measured", {}).get("trackers", {}).values():
        return str(told["run"])
    made_from = fingerprint(folder)
    notes = folder / NOTES
    notes.mkdir(parents=True, exist_ok=True)
    known = read_json(notes / FILE)
    if known is not None and known["made_from"] == made_from:
        return str(known["run"])
    return _drawn(notes / FILE, made_from, known)


def _drawn(file: Path, made_from: str, known: dict[str, Any] | None) -> str:
    """A new id, written in one step: of two who draw at the same time the second takes the first one's."""
    if known is not None:
        file.unlink(missing_ok=True)
    mine = {"run": uuid.uuid4().hex, "made_from": made_from}
    temporary = file.with_name(f"{FILE}.{mine['run']}")
    temporary.write_text(json.dumps(mine), encoding="utf-8")
    try:
        os.link(temporary, file)
    except FileExistsError:
        mine = read_json(file) or mine
    finally:
        temporary.unlink()
    return str(mine["run"])


def fingerprint(folder: Path) -> str:
    """The sha256 of all that decides what the artifact in `folder` holds, or will hold once it is made."""
    told = read_json(folder / "record.json") or read_json(folder / WORK) or {"spec": read_json(folder / "spec.json")}
    return hashlib.sha256(canonical({key: told.get(key) for key in ORIGIN})).hexdigest()
