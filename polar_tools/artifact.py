"""The one way in which an artifact comes to be: compare, work, record, manifest.

record.json says from what (the same bytes for the same work); manifest.json is written last, points to the record by its
sha256 and adds what differs from run to run. An artifact without a manifest does not exist.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polar_tools import advancement, aside, consumption, energy, hardware, lock, refusals
from polar_tools.errors import UnfinishedError, UserError
from polar_tools.records import canonical as canonical
from polar_tools.records import read_json as read_json
from polar_tools.records import sha256_of as sha256_of
from polar_tools.records import write_whole
from polar_tools.specs import SPECS, Spec, same, thaw
from polar_tools.version import __version__

WORK = aside.MADE_FROM
"""From what an artifact is being made, while it isn't finished."""
KEPT = ".manifest.json"
"""The manifest once more: Snakemake removes a rule's output before each job, also before one that finds all there."""
OWN = ("spec.json", "record.json", "manifest.json", KEPT, WORK)


@dataclass(frozen=True)
class Facts:
    """What a stage found out: `recorded` is the same in every run of the same work, `measured` differs from run to run.

    Files that `volatile` names, or that lie below its folders, may differ too: they are hashed into the manifest, not into the record.
    """

    recorded: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()


Work = Callable[[Any, Path], Facts]


class Records:
    """What lies on disk below a root, each file read once."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self._hashes: dict[str, str | None] = {}

    def hash(self, path: str) -> str | None:
        """The sha256 of an artifact's record as its manifest vouches for it, or None where the artifact isn't there."""
        if path not in self._hashes:
            manifest = read_json(self.root / path / "manifest.json")
            self._hashes[path] = None if manifest is None else manifest.get("record")
        return self._hashes[path]

    def origin(self, spec: Spec, frozen: bytes) -> dict[str, Any]:
        """All that decides what an artifact holds: spec, inputs by the hash of their records, local files by theirs."""
        return {
            "spec": json.loads(frozen),
            "inputs": {path: self.hash(path) for path in spec.inputs()},
            "local_files": {path: sha256_of(self.root / path) for path in spec.local_files()},
        }


def make(folder: Path, stage: str, work: Work, libraries: Callable[[], Iterable[str]] = tuple) -> bool:
    """Make the artifact in `folder` from its spec.json unless it is there already; returns whether there was work.

    Paths in the spec are below the working directory. `libraries` gives the packages whose
    versions the result depends on; it and `work` are called only where there is work, so that comparing stays cheap.
    """
    spec, origin = asked(folder, stage)
    if not _is_current(folder, origin):
        with lock.held(folder):
            if not _is_current(folder, origin):  # another may have made it while this one waited
                _make(folder, spec, origin, work, libraries)
                return True
    _write_manifest(folder, _known_circumstances(folder, spec))
    return False


def _make(folder: Path, spec: Spec, origin: dict[str, Any], work: Work, libraries: Callable[[], Iterable[str]]) -> None:
    _claim(folder, origin)
    refusals.forget(folder)
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        with energy.Meter() as meter:
            facts = work(spec, folder)
    except UserError as error:
        refusals.note(folder, error)
        raise
    _write_record(folder, origin, facts, libraries())
    circumstances = _circumstances(folder, spec, facts, started, time.monotonic() - clock)
    circumstances["measured"] |= meter.measured()
    _write_manifest(folder, circumstances)
    (folder / WORK).unlink()
    advancement.forget(folder)


def asked(folder: Path, stage: str) -> tuple[Any, dict[str, Any]]:
    """The spec in `folder` and its origin; raises UserError where it is for another stage, or something that it needs isn't there."""
    frozen = _read_spec(folder)
    spec = thaw(frozen, str(folder / "spec.json"))
    if spec.stage != stage:
        raise UserError(f"{folder}/spec.json is for the stage `{spec.stage}`, not for `{stage}`")
    origin = Records().origin(spec, frozen)
    missing = [path for path, record in origin["inputs"].items() if record is None]
    if missing:
        raise UserError(f"{folder} is made from {', '.join(missing)}, not there yet: run `snakemake`, or this tool in the project's folder")
    return spec, origin


def settle(folder: Path, frozen: bytes, spec: Spec, records: Records) -> None:
    """Write spec.json where its bytes differ; let file times and the manifest's being there tell Snakemake the truth.

    Snakemake sees work by time only. So the manifest of an artifact whose record or files are not what they should be is
    removed where no input is newer than it, a spec that was changed and changed back is made older than its manifest, and a manifest
    that came with other times than its inputs (out of DVC, by git, by rsync) is made no older than these.
    """
    spec_file, manifest_file = folder / "spec.json", folder / "manifest.json"
    if not spec_file.is_file() or spec_file.read_bytes() != frozen:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(spec_file, frozen)
    manifest, record = read_json(manifest_file), read_json(folder / "record.json")
    if manifest is None:
        return
    if record is None or manifest.get("record") != sha256_of(folder / "record.json") or _gone(folder, record):
        return manifest_file.unlink()
    sources = [spec_file, *(records.root / path / "manifest.json" for path in spec.inputs())]
    sources += [records.root / path for path in spec.local_files()]
    made = manifest_file.stat().st_mtime_ns
    if not same(record["spec"], json.loads(frozen)) or not _inputs_unchanged(record, manifest, spec, records):
        if not any(path.exists() and path.stat().st_mtime_ns > made for path in sources):
            manifest_file.unlink()
        return
    if spec_file.stat().st_mtime_ns > made:
        os.utime(spec_file, ns=(made, made))
    newest = max(path.stat().st_mtime_ns for path in sources)
    if newest > made:
        os.utime(manifest_file, ns=(newest, newest))


def is_done(folder: Path, spec: Spec, frozen: bytes, records: Records) -> bool:
    """Whether the artifact in `folder` is there and made from what `frozen` and its inputs are now."""
    return (folder / "manifest.json").is_file() and _is_current(folder, records.origin(spec, frozen))


def amend(folder: Path, name: str, told: dict[str, Any]) -> None:
    """Add to what a manifest says was measured under `name`. Its time stays: nothing that was made from the artifact is out of date.

    Nothing happens where there is no manifest, or somebody is at work there.
    """
    try:
        with lock.held(folder):
            file = folder / "manifest.json"
            manifest, made = read_json(file) or {}, file.stat()
            measured = manifest.get("measured", {})
            known = measured.get(name, {})
            if {**known, **told} == known:
                return
            manifest["measured"] = {**measured, name: {**known, **told}}
            for path in (folder / KEPT, file):
                write_whole(path, canonical(manifest))
                os.utime(path, ns=(made.st_atime_ns, made.st_mtime_ns))
    except (UnfinishedError, FileNotFoundError):
        return


def files_of(folder: Path, stage: str) -> list[str]:
    """The files of a stage's artifact but for its own book-keeping and for artifacts within it, sorted, as paths below `folder`."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if _counts(path.parts[0], stage))


def _counts(name: str, stage: str) -> bool:
    """Whether what lies in an artifact's folder under `name` is of its content."""
    return name not in (*OWN, *SPECS[stage].WITHIN) and not name.startswith(lock.NAME)


def put(old: Path, new: Path) -> None:
    """`old` also as `new`, without a second copy of its bytes where the file system can do so."""
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    try:
        new.hardlink_to(old)
    except OSError:  # not every file system knows hard links
        shutil.copyfile(old, new)


def _read_spec(folder: Path) -> bytes:
    try:
        return (folder / "spec.json").read_bytes()
    except OSError as error:
        raise UserError(f"there is no {folder}/spec.json; `snakemake -n` writes the specs of a config") from error


def _is_current(folder: Path, origin: dict[str, Any]) -> bool:
    record = read_json(folder / "record.json")
    if record is None or any(record.get(key) != origin[key] for key in ("inputs", "local_files")):
        return False
    return same(record.get("spec"), origin["spec"]) and not _gone(folder, record)


def _gone(folder: Path, record: dict[str, Any]) -> bool:
    """Whether what others read of it, or a file of the record in its size, is not there. Contents are `verify`'s business."""
    try:
        return not (folder / SPECS[record["spec"]["stage"]].PAYLOAD).exists() or any(
            (folder / name).stat().st_size != entry["size"] for name, entry in record["files"].items()
        )
    except OSError:
        return True


def _inputs_unchanged(record: dict[str, Any], manifest: dict[str, Any], spec: Spec, records: Records) -> bool:
    if record["inputs"] != {path: records.hash(path) for path in spec.inputs()}:
        return False
    for path, known in record["local_files"].items():
        if _signature(records.root / path) != manifest.get("local_files", {}).get(path) and sha256_of(records.root / path) != known:
            return False
    return set(record["local_files"]) == set(spec.local_files())


def _signature(path: Path) -> list[int]:
    """Size and time of a file: while they stay, it need not be read again."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _claim(folder: Path, origin: dict[str, Any]) -> None:
    """Make way for the work: no manifest, no record, and nothing of another spec; what the same work left behind stays."""
    for name in ("manifest.json", KEPT):
        (folder / name).unlink(missing_ok=True)
    record = read_json(folder / "record.json")
    (folder / "record.json").unlink(missing_ok=True)
    left = read_json(folder / WORK) or ({} if record is None else {key: record.get(key) for key in origin})
    if left != origin:
        aside.put(folder, [path.name for path in folder.iterdir() if _counts(path.name, origin["spec"]["stage"])], left, origin)
    write_whole(folder / WORK, canonical(origin))
    aside.take_back(folder, origin)


def _write_record(folder: Path, origin: dict[str, Any], facts: Facts, libraries: Iterable[str]) -> None:
    from importlib import metadata

    stable = [name for name in files_of(folder, origin["spec"]["stage"]) if not is_volatile(name, facts.volatile)]
    record = {
        **origin,
        "files": {name: _entry(folder / name) for name in stable},
        "volatile": sorted(facts.volatile),
        "versions": {name: metadata.version(name) for name in sorted(libraries)},
        "facts": facts.recorded,
    }
    write_whole(folder / "record.json", canonical(record))


def _known_circumstances(folder: Path, spec: Spec) -> dict[str, Any]:
    """What a manifest of the record said that is there, or what can still be said of its files."""
    record = sha256_of(folder / "record.json")
    for name in ("manifest.json", KEPT):
        told = read_json(folder / name)
        if told is not None and told.get("record") == record:
            return told
    volatile = (read_json(folder / "record.json") or {}).get("volatile", ())
    return _of_files(folder, spec, volatile)


def _of_files(folder: Path, spec: Spec, volatile: Iterable[str]) -> dict[str, Any]:
    """Of which bytes the files are that may differ from run to run, and what tells that local ones haven't changed."""
    differing = [name for name in files_of(folder, spec.stage) if is_volatile(name, volatile)]
    return {
        "files": {name: _entry(folder / name) for name in differing},
        "local_files": {path: _signature(Path(path)) for path in spec.local_files()},
    }


def _circumstances(folder: Path, spec: Spec, facts: Facts, started: datetime, seconds: float) -> dict[str, Any]:
    import platform
    import socket

    return {
        **_of_files(folder, spec, facts.volatile),
        "measured": {
            "seconds": round(seconds, 3),
            "peak_memory_mb": consumption.peak_mb(),
            "memory_mb": consumption.there_is_mb(),
            **facts.measured,
        },
        "started": started.isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "hardware": hardware.there_is(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "polar_tools": __version__,
    }


def is_volatile(name: str, volatile: Iterable[str]) -> bool:
    """Whether a file is one of `volatile`, or lies below one of its folders."""
    return any(name == one or name.startswith(f"{one}/") for one in volatile)


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_of(path), "size": path.stat().st_size}


def _write_manifest(folder: Path, circumstances: dict[str, Any]) -> None:
    manifest = canonical({**circumstances, "record": sha256_of(folder / "record.json")})
    write_whole(folder / KEPT, manifest)
    write_whole(folder / "manifest.json", manifest)
