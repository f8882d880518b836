"""What a copy leaves in writing, and whether the target is still as written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from polar_tools import storage
from polar_tools.errors import IntegrityError, UserError
from polar_tools.storage.base import Access, Entry, Snapshot
from polar_tools.transfer.content import Passage
from polar_tools.transfer.copying import Outcome
from polar_tools.transfer.progress import Progress
from polar_tools.version import __version__

KIND = "polar-tools copy"


def written(target: str, url: str, outcome: Outcome, refs: Mapping[str, Outcome]) -> dict[str, Any]:
    """The manifest of a copy: the same for the same copy, whenever and wherever it is made."""
    return {
        "kind": KIND,
        "polar_tools": __version__,
        "source": outcome.source,
        "target": {"uri": target, "url": url, **outcome.target},
        "files": {path: _described(entry) for path, entry in sorted(outcome.files.items())},
        "left_out": dict(sorted(outcome.selection.left_out.items())),
        "extra": sorted(outcome.extra),
        "pickles": list(outcome.selection.pickles),
        "refs": {name: {"source": other.source["commit"], "target": other.target["commit"]} for name, other in sorted(refs.items())},
    }


def save(path: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """The manifest in a file; None where the file holds something else or isn't there."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("kind") == KIND else None


def entries(manifest: dict[str, Any]) -> dict[str, Entry]:
    """The files of a manifest by their paths."""
    found = {path: Entry(path, about["size"], about["sha256"], lfs=about["lfs"]) for path, about in manifest["files"].items()}
    return {
        path: replace(entry, git_sha1=manifest["files"][path]["blob_id"]) if entry.in_git else entry  # else it is that of a pointer
        for path, entry in found.items()
    }


def verify(manifest: dict[str, Any], access: Access) -> list[str]:
    """What of the target isn't as written, a line each. A Hub vouches for its listing by content; other stores are read whole.

    Raises UserError where the manifest names an endpoint that nobody here has named: a token is not sent to whom a file says.
    """
    target = manifest["target"]
    with storage.open_source(target["uri"], access=access) as snapshot:
        if target.get("endpoint") != snapshot.endpoint:
            raise UserError(f"the copy is at {target.get('endpoint')}, not at {snapshot.endpoint}; if you trust it, give it as --endpoint")
        return sorted(_differences(manifest, snapshot))


def _differences(manifest: dict[str, Any], snapshot: Snapshot) -> Iterator[str]:
    there = {entry.path: entry for entry in snapshot.entries}
    wanted = entries(manifest)
    for path, entry in wanted.items():
        if path not in there:
            yield f"{path}: missing"
        elif wrong := _differs(snapshot, entry, there[path]):
            yield f"{path}: {wrong}"
    yield from (f"{path}: added" for path in there.keys() - wanted.keys() - set(manifest["extra"]))


def _differs(snapshot: Snapshot, entry: Entry, there: Entry) -> str | None:
    agreed = entry.agrees(there)
    if agreed is None or (agreed and not snapshot.vouches):
        try:
            for _ in Passage(snapshot, Entry(entry.path, entry.size, entry.sha256, lfs=entry.lfs), Progress()).read():
                pass
        except IntegrityError:
            return "changed"
        return None
    return None if agreed else "changed"


def _described(entry: Entry) -> dict[str, Any]:
    return {"size": entry.size, "sha256": entry.sha256, "blob_id": entry.blob_id(), "lfs": entry.lfs}
