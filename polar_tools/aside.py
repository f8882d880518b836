"""Work that was made from something else than what is asked for now: moved out of the way, and back when it is asked for again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polar_tools import secrets
from polar_tools.records import canonical, read_json, write_whole

MADE_FROM = ".work.json"
"""The file in it that says from what it was being made."""
SHOWN = 6
"""Places in which two specs differ that are named."""


def of(folder: Path) -> Path:
    """Where what was made from another spec lies: a hidden folder beside the artifact's, which keeps the last such lot."""
    return folder.with_name(f".{folder.name}.aside")


def put(folder: Path, names: Sequence[str], left: dict[str, Any], origin: dict[str, Any]) -> None:
    """Move aside what lies in `folder` under `names`: it was made from `left`, and `origin` is asked for now.

    An interrupted move is gone on with. The lot that lay there before stays until `take_back` has had a look at it.
    """
    lot, old = of(folder), _older(folder)
    if not names:
        return
    if not left or read_json(lot / MADE_FROM) != left:
        shutil.rmtree(old, ignore_errors=True)
        if lot.is_dir():
            lot.rename(old)
        lot.mkdir()
        write_whole(lot / MADE_FROM, canonical(left))
    for name in names:
        (folder / name).rename(lot / name)
    secrets.learn([left, origin])
    why = secrets.redacted(_difference(left, origin))
    print(f"{folder}: what lay there was made from something else ({why}); it is in {lot} now", flush=True)


def take_back(folder: Path, origin: dict[str, Any]) -> None:
    """Go on with what was set aside if it is what is asked for now."""
    for lot in (_older(folder), of(folder)):
        if read_json(lot / MADE_FROM) == origin:
            print(f"{folder}: going on with what was set aside before", flush=True)
            for path in [path for path in lot.iterdir() if path.name != MADE_FROM]:
                path.rename(folder / path.name)
            shutil.rmtree(lot)
    shutil.rmtree(_older(folder), ignore_errors=True)


def _older(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.aside.old")


def _difference(left: dict[str, Any], origin: dict[str, Any]) -> str:
    """In which places two origins differ, in a few words."""
    if not left:
        return "nothing says what"
    before, now = _flat(left), _flat(origin)
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return "; ".join(f"{name.removeprefix('spec.')}: {before.get(name)} -> {now.get(name)}" for name in names[:SHOWN]) + (
        f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    )


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested objects, by their path."""
    if not isinstance(data, dict):
        return {path: data}
    return {name: value for key, below in data.items() for name, value in _flat(below, f"{path}.{key}".lstrip(".")).items()}
