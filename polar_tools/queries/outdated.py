"""Sources that moved on since they were mirrored: the stores are asked for their state now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polar_tools import storage
from polar_tools.errors import PolarError, UserError, first_line
from polar_tools.queries.project import Made, artifacts
from polar_tools.storage.base import Access, Entry, Hashes, Snapshot

COMMIT = re.compile(r"[0-9a-f]{40}")
FILES_NAMED = 5
"""Changed files that are named."""


@dataclass(frozen=True)
class Standing:
    """How a mirrored source stands.

    `state`: `current`, `moved` (what its address means is something else now), `newer` (it is pinned, and there is something newer),
    `gone` (nothing is there any more), or `unreachable`. `old` and `new` are commits, versions or hashes.
    """

    path: str
    source: str
    state: str
    old: str = ""
    new: str = ""
    why: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            **{"path": self.path, "source": self.source, "state": self.state},
            **{name: value for name, value in (("old", self.old), ("new", self.new), ("why", list(self.why))) if value},
        }

    def __str__(self) -> str:
        moved = f"  {self.old[:12]} -> {self.new[:12]}" if self.new else ""
        return "\n".join([f"{self.state:<11} {self.source}  ({self.path}){moved}", *(f"            {line}" for line in self.why)])


def standings(root: Path) -> Iterator[Standing]:
    """How each mirrored source of a project stands, one after another as the stores answer. Nothing is written."""
    for made in artifacts(root).values():
        if made.stage == "mirror":
            yield _standing(made, root)


def _standing(made: Made, root: Path) -> Standing:
    source = str(made.spec["source"])
    try:
        if source.startswith("pypi://"):
            return _release(made, source)
        return _state(made, source, root)
    except UserError as error:
        return Standing(made.path, source, "gone", why=(first_line(error),))
    except PolarError as error:
        return Standing(made.path, source, "unreachable", why=(first_line(error),))


def _state(made: Made, source: str, root: Path) -> Standing:
    """A source by what its store says of it; a commit that is named in the address stays, so there the main branch is looked at."""
    address, _, revision = source.partition("@")
    pinned = COMMIT.fullmatch(revision) is not None
    asked = source
    if source.startswith("file://"):
        asked = f"file://{root.resolve() / source.removeprefix('file://')}"
    elif pinned:
        asked = address
    known = made.facts["source"]
    with storage.open_source(asked, made.spec["sha256"], Access()) as snapshot:
        for name in ("commit", "etags"):
            if name in known:
                if known[name] == snapshot.identity[name]:
                    return Standing(made.path, source, "current")
                changed = tuple(_changed(made, snapshot)) if name == "commit" else ()
                state = "newer" if pinned else "moved"
                return Standing(made.path, source, state, known[name], snapshot.identity[name], changed)
        return _local(made, source, snapshot)


def _changed(made: Made, snapshot: Snapshot) -> Iterator[str]:
    """The files that differ, as far as the store tells their hashes."""
    before = _files(made)
    now = {entry.path: entry for entry in snapshot.entries}
    differing = [path for path, entry in now.items() if path in before and _differs(made, entry, before[path])]
    told = [("changed", differing), ("added", [*now.keys() - before.keys()]), ("removed", [*before.keys() - now.keys()])]
    for what, paths in told:
        if paths:
            more = f" and {len(paths) - FILES_NAMED} more" if len(paths) > FILES_NAMED else ""
            yield f"{what}: {', '.join(sorted(paths)[:FILES_NAMED])}{more}"


def _differs(made: Made, entry: Entry, before: dict[str, Any]) -> bool:
    """Whether a file of the store is another than was mirrored; of small ones a Hub tells git's hash, which our copy is asked for."""
    ours = Entry(entry.path, before["size"], before["sha256"])
    copy = made.folder / "snapshot" / entry.path
    if entry.sha256 is None and entry.git_sha1 is not None and ours.size == entry.size and copy.is_file():
        hashes = Hashes(ours)
        hashes.update(copy.read_bytes())
        ours = hashes.known(ours)
    return ours.agrees(entry) is False


def _local(made: Made, source: str, snapshot: Snapshot) -> Standing:
    """Files of this machine, by their bytes."""
    import hashlib

    before, now = {path: entry["sha256"] for path, entry in _files(made).items()}, {}
    for entry in snapshot.entries:
        digest = hashlib.sha256()
        for chunk in snapshot.read(entry, 0):
            digest.update(chunk)
        now[entry.path] = digest.hexdigest()
    differing = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    if not differing:
        return Standing(made.path, source, "current")
    first = differing[0]
    named = tuple(f"{path}: {before.get(path, 'new')[:12]} -> {now.get(path, 'gone')[:12]}" for path in differing[:FILES_NAMED])
    return Standing(made.path, source, "moved", before.get(first, ""), now.get(first, ""), named)


def _files(made: Made) -> dict[str, dict[str, Any]]:
    """The files of a snapshot by their paths in the source."""
    return {name.removeprefix("snapshot/"): entry for name, entry in made.record["files"].items() if name.startswith("snapshot/")}


def _release(made: Made, source: str) -> Standing:
    """A release of a package: whether its archive is still offered, and whether there is a newer release."""
    from packaging.version import InvalidVersion, Version

    from polar_tools.storage import pypi

    offered = pypi.releases(source)
    mine = source.partition("==")[2].partition("/")[0]
    if made.spec["sha256"] not in offered.get(mine, {None: None}).values() and None not in offered.get(mine, {}).values():
        return Standing(made.path, source, "gone", mine, why=("the index offers no archive of this sha256 any more",))
    versions = []
    for version in offered:
        try:
            versions.append(Version(version))
        except InvalidVersion:  # what nobody can order, nobody can call newer
            continue
    newest = max((version for version in versions if not version.is_prerelease), default=None)
    if newest is not None and newest > Version(mine):
        return Standing(made.path, source, "newer", mine, str(newest))
    return Standing(made.path, source, "current")
