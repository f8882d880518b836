"""What a whole checkpoint is: one whose marker, written after its last byte is on the disk, says what each of its files must be.

The marker also says of which training it is, so that none goes on from another's.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polar_tools.artifact import Records
from polar_tools.records import canonical, onto_disk, read_json, sha256_of, write_whole
from polar_tools.specs import TrainSpec, freeze

MARKER = "complete"
LENGTH = ("num_train_epochs", "max_steps", "extend_training")
"""Fields of an experiment that only say how long it is trained."""


@dataclass(frozen=True)
class Origin:
    """Which training a checkpoint is of."""

    made_from: str
    """The sha256 of all that decides what it makes: spec, inputs, files."""
    course: str
    """The same without how long it is."""
    length: dict[str, Any]
    """How long it is."""
    went_on_from: tuple[dict[str, Any], ...] = ()
    """The shorter trainings that came before, each with its length, its last step and the sha256 of that checkpoint's marker."""


def origin_of(spec: TrainSpec) -> Origin:
    """Which training `spec` asks for."""
    origin = Records().origin(spec, freeze(spec))
    length = {name: origin["spec"]["experiment"].pop(name) for name in LENGTH}
    course = _hash(origin)
    origin["spec"]["experiment"] |= length
    return Origin(_hash(origin), course, length)


def _hash(origin: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(origin)).hexdigest()


def mark(folder: Path, origin: Origin, exact: bool) -> None:
    """Mark a checkpoint as whole, once all of it is on the disk; `exact` says whether a training can go on from it as if untouched."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER}
    for path in files.values():
        onto_disk(path)
    for path in [folder, *(below for below in folder.rglob("*") if below.is_dir()), folder.parent]:
        onto_disk(path)
    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(sha256_of, files.values()))
    told = {name: {"size": path.stat().st_size, "sha256": sha256} for (name, path), sha256 in zip(files.items(), hashes, strict=True)}
    write_whole(folder / MARKER, canonical({**asdict(origin), "exact": exact, "files": told}))
    onto_disk(folder)


def fault(folder: Path) -> str | None:
    """Why a checkpoint isn't whole, or None where every byte is what was written."""
    marker = read_json(folder / MARKER)
    if marker is None:
        return "it was never finished"
    for name, told in marker["files"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if (size := path.stat().st_size) != told["size"]:
            return f"{name} has {size} bytes, and {told['size']} were written"
        if sha256_of(path) != told["sha256"]:
            return f"the bytes of {name} aren't those that were written"
    return None


def all_in(folder: Path) -> list[Path]:
    """The folders of checkpoints below `folder`, whole or not, the newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=step_of, reverse=True)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint below `folder` that was finished, whose bytes nobody looked at; None where there is none."""
    return next((path for path in all_in(folder) if (path / MARKER).is_file()), None)


def step_of(folder: Path) -> int:
    """After which step a checkpoint was written."""
    return int(folder.name.removeprefix("checkpoint-"))
