"""What a bundle holds, in writing: bundle.json, and SHA256SUMS for whoever has nothing but coreutils."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polar_tools.errors import UserError
from polar_tools.records import canonical, read_json, sha256_of, write_whole
from polar_tools.version import __version__

FILE, SUMS = "bundle.json", "SHA256SUMS"
KIND = "polar-tools bundle"


def write(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Hash every file of the bundle and write both lists, bundle.json last; a link is listed by where it leads."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    names = [path for path in paths if path.relative_to(folder).as_posix() not in (FILE, SUMS)]
    links = {path.relative_to(folder).as_posix(): path.readlink().as_posix() for path in names if path.is_symlink()}
    files = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "size": path.stat().st_size}
        for path in names
        if not path.is_symlink()
    }
    told = {"kind": KIND, "polar_tools": __version__, **about, "files": files, "links": links}
    write_whole(folder / SUMS, "".join(f"{entry['sha256']}  {name}\n" for name, entry in files.items()).encode())
    write_whole(folder / FILE, canonical(told))
    return told


def read(folder: Path) -> dict[str, Any] | None:
    """The list of the bundle in `folder`, or None where that is none."""
    told = read_json(folder / FILE)
    return told if told is not None and told.get("kind") == KIND else None


def differences(folder: Path) -> Iterator[str]:
    """What of a bundle isn't as listed, a line each; what was made in it since is none of its business."""
    told = read(folder)
    if told is None:
        raise UserError(f"{folder} is no bundle: it has no {FILE}")
    for name, entry in told["files"].items():
        if not (folder / name).is_file():
            yield f"{name}: missing"
        elif (folder / name).stat().st_size != entry["size"] or sha256_of(folder / name) != entry["sha256"]:
            yield f"{name}: changed"
    for name, target in told["links"].items():
        if not (folder / name).is_symlink() or (folder / name).readlink().as_posix() != target:
            yield f"{name}: no link to {target} any more"
