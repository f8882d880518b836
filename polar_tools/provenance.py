"""Follow the chain of records: verify that every byte is what was recorded, and show from what a result was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polar_tools.artifact import files_of, read_json, sha256_of
from polar_tools.errors import UserError
from polar_tools.specs import same

PUBLISHED = "polar/records"
"""Where a publication has the records of what it was made from."""


@dataclass(frozen=True)
class Node:
    """One artifact of a chain: its path below the root, its record and the record's sha256, and what it was made from."""

    path: str
    record_sha256: str
    record: dict[str, Any]
    inputs: tuple[Node, ...]

    def as_dict(self) -> dict[str, Any]:
        """The chain for a program to read."""
        return {
            "path": self.path,
            "stage": self.record["spec"]["stage"],
            "record": self.record_sha256,
            "source": self.record["facts"].get("source"),
            "files": {name: entry["sha256"] for name, entry in self.record["files"].items()},
            "local_files": self.record["local_files"],
            "inputs": [node.as_dict() for node in self.inputs],
        }


def artifacts_in(path: Path) -> list[Path]:
    """The artifacts at or below `path`, or the one that `path` lies in; raises UserError where there is none."""
    there = (file.parent for file in path.rglob("manifest.json") if (file.parent / "spec.json").is_file())
    found = sorted(folder for folder in there if not is_copy(folder, path))
    if found:
        return found
    for folder in [path, *path.resolve().parents]:
        if (folder / "manifest.json").is_file() and (folder / "spec.json").is_file():
            return [folder]
    raise UserError(f"there is no finished artifact at {path}: no manifest.json in it, below it or above it")


def is_copy(folder: Path, top: Path) -> bool:
    """Whether a folder with records below `top` is none of an artifact, but of what a publication there tells of one."""
    return f"/{PUBLISHED}/" in f"/{folder.relative_to(top).as_posix()}/"


def lineage(folder: Path) -> Node:
    """The chain of the artifact in `folder` down to its sources; raises UserError where a link is missing."""
    root = root_of(folder)
    return _node(root, folder.resolve().relative_to(root).as_posix(), {})


def _node(root: Path, path: str, known: dict[str, Node]) -> Node:
    if path not in known:
        record = read_json(root / path / "record.json")
        if record is None:
            raise UserError(f"{path} has no record.json: it isn't finished, or was not brought along")
        inputs = tuple(_node(root, name, known) for name in sorted(record["inputs"]))
        known[path] = Node(path, sha256_of(root / path / "record.json"), record, inputs)
    return known[path]


def root_of(folder: Path) -> Path:
    """The working directory that the paths in an artifact's spec start from: the nearest folder above in which they lead somewhere."""
    folder = folder.resolve()
    record = read_json(folder / "record.json") or {}
    inputs = list(record.get("inputs", ()))
    for above in folder.parents:
        if all((above / path).is_dir() for path in inputs) and (inputs or {"results", "resources"} & {p.name for p in above.iterdir()}):
            return above
    return Path.cwd()


def verify(path: Path) -> tuple[list[str], list[str]]:
    """Hash again all artifacts at or below `path` and all that they were made from.

    Returns the artifacts that were looked at, and what is not as recorded, a line each.
    """
    return verify_chains(artifacts_in(path))


def verify_chains(folders: Iterable[Path]) -> tuple[list[str], list[str]]:
    """The same of these artifacts and all that they were made from, and of no others that lie in their folders."""
    seen: dict[Path, list[str]] = {}
    waiting = [folder.resolve() for folder in folders]
    while waiting:
        folder = waiting.pop()
        if folder not in seen:
            root = root_of(folder)
            seen[folder] = list(_differences(folder, root))
            inputs = (read_json(folder / "record.json") or {}).get("inputs", {})
            waiting += [root / name for name in inputs if (root / name).is_dir()]
    return [str(folder) for folder in sorted(seen)], [line for folder in sorted(seen) for line in seen[folder]]


def _differences(folder: Path, root: Path) -> Iterator[str]:
    manifest, record = read_json(folder / "manifest.json"), read_json(folder / "record.json")
    shown = folder.relative_to(root)
    if manifest is None or record is None:
        yield f"{shown}: {'manifest' if manifest is None else 'record'}.json is missing or damaged"
        return
    if manifest.get("record") != sha256_of(folder / "record.json"):
        yield f"{shown / 'record.json'}: changed since the manifest was written"
    if not same(record["spec"], read_json(folder / "spec.json") or {}):
        yield f"{shown / 'spec.json'}: not what this was made from; `snakemake` would make it again"
    for name, entry in sorted({**record["files"], **manifest.get("files", {})}.items()):
        if not (folder / name).is_file():
            yield f"{shown / name}: missing"
        elif sha256_of(folder / name) != entry["sha256"]:
            yield f"{shown / name}: changed"
    for name in files_of(folder, record["spec"]["stage"]):
        if (
            name not in record["files"]
            and name not in manifest.get("files", {})
            and not name.startswith(tuple(f"{v}/" for v in record["volatile"]))
        ):
            yield f"{shown / name}: added"
    for name, known in sorted(record["inputs"].items()):
        if not (root / name / "record.json").is_file():
            yield f"{shown}: {name}, from which it was made, is not there"
        elif sha256_of(root / name / "record.json") != known:
            yield f"{shown}: was made from another state of {name}"
