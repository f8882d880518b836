"""What there is to tell of an artifact, read off the disk and without secrets: config, tags, numbers, files, the model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polar_tools import secrets
from polar_tools.artifact import files_of, read_json, sha256_of
from polar_tools.specs import TrainSpec
from polar_tools.trackers.base import Model, Row, Run
from polar_tools.version import __version__

RECORDS, OWN = "polar/records", ("spec.json", "record.json", "manifest.json")
REPORTS = ("report.json", "report.html", "published/README.md")
LARGEST = 20 * 2**20
"""Bytes of a file that is sent; rows and weights are no reports."""


class Told:
    """One artifact, by its path below `root`, that belongs to `run`. What it reads in fields that hold secrets is hidden everywhere."""

    def __init__(self, root: Path, path: str, run: Run) -> None:
        self.root, self.path, self.run, self.folder = root, path, run, root / path
        self.spec = read_json(self.folder / "spec.json") or {}
        self.record = read_json(self.folder / "record.json")
        self.manifest = read_json(self.folder / "manifest.json")
        self.stage = str(self.spec.get("stage"))
        secrets.learn(self.spec)

    @property
    def is_finished(self) -> bool:
        """Whether the artifact is there."""
        return self.manifest is not None and self.record is not None

    def config(self) -> dict[str, str]:
        """Every field of the experiment, of a training."""
        return dict(_flat(self.spec.get("experiment", {}))) if self.stage == TrainSpec.model_fields["stage"].default else {}

    def tags(self) -> dict[str, str]:
        """Where the artifact is from: its sources with their commits, and all that it was made from by the hashes of the records."""
        tags = {"polar.path": self.run.path, "polar.experiment": self.run.experiment, "polar.version": __version__}
        if self.path != self.run.path:
            return self._published()
        for path, record in sorted(self._chain().items()):
            tags[f"polar.lineage.{path}"] = sha256_of(self.root / path / "record.json")
            if source := record["facts"].get("source"):
                tags[f"polar.source.{path}"] = _text(source)
        if self.is_finished:
            tags["polar.record"] = sha256_of(self.folder / "record.json")
        return {secrets.redacted(key): secrets.redacted(value) for key, value in tags.items()}

    def results(self) -> list[Row]:
        """What was measured, as one row at the step after which the model was trained no more."""
        facts = (self.record or {}).get("facts", {})
        values = {name: value for name, value in facts.get("metrics", {}).items() if _is_number(value)}
        if self.stage not in ("evaluate", "harness") or not values:
            return []
        trained = read_json(self.root / self.run.path / "record.json") or {}
        step, name = trained.get("facts", {}).get("steps", 0), Path(self.path).name
        between = {
            f"{one}/{end}": limits[place] for one, limits in facts.get("intervals", {}).items() for place, end in enumerate(("low", "high"))
        }
        named = {f"{self.stage}/{name}/{one}": float(value) for one, value in {**values, **between}.items()}
        return [Row(step, named, (self.folder / "record.json").stat().st_mtime, step, True)]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Records and reports, of a training those of all that it was made from too: name and content, smallest worries first."""
        behind = sorted(self._chain()) if self.path == self.run.path else []
        for path in [self.path, *(one for one in behind if one != self.path)]:
            for name in OWN:
                yield from self._file(self.root / path / name, f"{RECORDS}/{path}/{name}")
            for name in REPORTS:
                yield from self._file(self.root / path / name, f"reports/{path.removeprefix('results/')}/{name}")
        if self.stage == "report":
            for name in files_of(self.folder, self.stage):
                yield from self._file(self.folder / name, f"report/{name}")

    def model(self) -> Model | None:
        """The model of a finished training."""
        if self.stage != TrainSpec.model_fields["stage"].default or self.record is None:
            return None
        below = f"{TrainSpec.PAYLOAD}/"
        hashes = {f"polar.sha256.{name}": entry["sha256"] for name, entry in self.record["files"].items() if name.startswith(below)}
        about = {name: content for name, content in self.files() if name.startswith(RECORDS)}
        return Model({**self.tags(), **hashes}, about, self.folder / TrainSpec.PAYLOAD)

    def _published(self) -> dict[str, str]:
        """Where the run's model went, with the commit or version that it has there, of a publication."""
        targets = (self.manifest or {}).get("measured", {}).get("targets") if self.stage == "publish" else None
        return {f"polar.published.{Path(self.path).name}": secrets.redacted(_text(targets))} if targets else {}

    def _chain(self) -> dict[str, dict[str, Any]]:
        """The records of the artifact and of all that it was made from, by path, as far as they are there."""
        found: dict[str, dict[str, Any]] = {}
        waiting = [self.path]
        while waiting:
            path = waiting.pop()
            record = read_json(self.root / path / "record.json")
            if record is not None and path not in found:
                secrets.learn(record)
                found[path] = record
            waiting += [one for one in self._inputs(path, record) if one not in found]
        return found

    def _inputs(self, path: str, record: dict[str, Any] | None) -> list[str]:
        """What an artifact was made from; while this one is being made, what it is being made from."""
        told = record or (read_json(self.folder / ".work.json") if path == self.path else None)
        return sorted((told or {}).get("inputs", {}))

    def _file(self, file: Path, name: str) -> Iterator[tuple[str, bytes]]:
        if file.is_file() and file.stat().st_size <= LARGEST:
            yield name, clean(file.read_bytes())


def logged(entry: Mapping[str, Any], time: float) -> Row:
    """A line of metrics.jsonl."""
    step = int(entry.get("step", 0))
    values = {_named(name): float(value) for name, value in entry.items() if name != "step" and _is_number(value)}
    return Row(step, values, time, step)


def used(entry: Mapping[str, Any]) -> Row:
    """A line of what the machine used."""
    return Row(entry["number"], entry["values"], entry["time"], entry["step"])


def clean(content: bytes) -> bytes:
    """Text without secrets; what is no text stays as it is."""
    try:
        return secrets.redacted(content.decode()).encode()
    except UnicodeDecodeError:
        return content


def _named(name: str) -> str:
    """`loss` as train/loss, `eval_rows_loss` as eval/rows_loss."""
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _flat(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested fields by their path, without secrets."""
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from _flat(value, f"{path}.{name}".lstrip("."))
    else:
        yield secrets.redacted(path), secrets.redacted(_text(data))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
