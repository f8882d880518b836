"""The artifacts that lie in a project's folder, by their records, and what came of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polar_tools.artifact import read_json, sha256_of
from polar_tools.errors import UserError

PLACES = ("resources", "results")
"""Where artifacts lie."""
DATA_STAGES = ("prepare", "mix", "decontaminate")
"""Stages whose payload is rows."""


@dataclass(frozen=True)
class Made:
    """One artifact that is there: its path below the project's folder, and its record."""

    root: Path
    path: str
    record: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.root / self.path

    @property
    def spec(self) -> dict[str, Any]:
        """What its tool was told."""
        told: dict[str, Any] = self.record["spec"]
        return told

    @property
    def stage(self) -> str:
        """Which tool made it."""
        return str(self.spec["stage"])

    @property
    def inputs(self) -> list[str]:
        """The artifacts that it was made from, sorted."""
        return sorted(self.record["inputs"])

    @property
    def facts(self) -> dict[str, Any]:
        """What its tool found out."""
        told: dict[str, Any] = self.record["facts"]
        return told

    @cached_property
    def record_sha256(self) -> str:
        """The sha256 of its record."""
        return sha256_of(self.folder / "record.json")

    @property
    def manifest(self) -> dict[str, Any]:
        """What differs from run to run; empty where there is no manifest."""
        return read_json(self.folder / "manifest.json") or {}


def artifacts(root: Path) -> dict[str, Made]:
    """All artifacts with a record below `root`, inputs before what was made from them; raises UserError where there is none."""
    found = {made.path: made for made in sorted(_found(root), key=lambda made: made.path)}
    if not found:
        raise UserError(f"there is no artifact in {', '.join(PLACES)} of {root.resolve()}: run this in the project's folder")
    return {path: found[path] for path in in_order(found)}


def _found(root: Path) -> Iterator[Made]:
    for place in PLACES:
        for file in (root / place).rglob("record.json"):
            shown = file.parent.relative_to(root)
            record = None if any(part.startswith(".") for part in shown.parts) else read_json(file)
            if record is not None and {"spec", "inputs", "files", "facts"} <= record.keys():
                yield Made(root, shown.as_posix(), record)


def in_order(made: Mapping[str, Made]) -> list[str]:
    """The paths, each behind those of its inputs."""
    done: dict[str, None] = {}

    def visit(path: str) -> None:
        if path in made and path not in done:
            for name in made[path].inputs:
                visit(name)
            done[path] = None

    for path in made:
        visit(path)
    return list(done)


def named(root: Path, given: str) -> str:
    """The path below `root` of the artifact that a person means: by its folder, a file in it, or its path without `results/`."""
    text = given.rstrip("/").removesuffix("/manifest.json").removesuffix("/record.json").removesuffix("/spec.json")
    for candidate in (Path(text), root / text, root / "results" / text):
        if (candidate / "spec.json").is_file() and candidate.resolve().is_relative_to(root.resolve()):
            return candidate.resolve().relative_to(root.resolve()).as_posix()
    return text if text.startswith(tuple(f"{place}/" for place in PLACES)) else f"results/{text}"
