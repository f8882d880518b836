"""Weights are safetensors, and nothing is a pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.gates import base
from polar_tools.transfer.selection import PICKLES

if TYPE_CHECKING:
    from pathlib import Path

    from polar_tools.publishing.publication import Parcel

TITLE = "weights are safetensors, whole ones, and no file is a pickle, which can run code when it is loaded"
MEANS = "leave pickles out, or waive `safetensors` if you know who will load them and why"
WAIVABLE = True
OF_FINISHED = False
PICKLE, ZIP = b"\x80", b"PK\x03\x04"
"""How a pickle begins, and torch's archive of one."""


def check(parcel: Parcel) -> base.Outcome:
    """Names, and how the files begin: a pickle is one whatever it is called."""
    weights = [name for name in parcel.names if name.endswith(".safetensors")]
    problems = [f"{name}: {why}" for name in parcel.names if (why := _wrong(parcel.folder / name))]
    return base.judged(problems, f"{len(weights)} files of weights, all safetensors")


def _wrong(path: Path) -> str | None:
    if path.name.lower().endswith(PICKLES):
        return "a pickle"
    if path.suffix == ".safetensors":
        return _damaged(path)
    with path.open("rb") as file:
        head = file.read(4)
    if head[:1] == PICKLE and head[1:2] and head[1] <= 5:
        return "a pickle, whatever its name says"
    return "an archive, which may hold pickles" if head == ZIP else None


def _damaged(path: Path) -> str | None:
    """Why a file isn't what safetensors are, as their library sees it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        return f"no whole safetensors file ({error})"
    return None
