"""How far the work on an artifact is: a small file beside its lock, for whoever asks from outside. It is no part of what is made."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from polar_tools import lock

NAME = f"{lock.NAME}-advancement.json"
"""Names that begin as the lock's are no content of an artifact."""


@dataclass(frozen=True)
class Advancement:
    """So many of all `unit`s are done; what isn't known is None."""

    done: int
    of: int
    unit: str
    tokens_per_second: float | None = None
    seconds_left: float | None = None

    def __str__(self) -> str:
        told = [f"{self.unit} {self.done:,} of {self.of:,}"]
        told += [] if self.tokens_per_second is None else [f"{self.tokens_per_second:,.0f} tokens/s"]
        return ", ".join([*told, *([] if self.seconds_left is None else [f"{duration(self.seconds_left)} left"])])


def note(folder: Path, seen: Advancement) -> None:
    """Leave word of how far it is, whole or not at all."""
    temporary = folder / f"{NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(seen)), encoding="utf-8")
    temporary.replace(folder / NAME)


def read(folder: Path) -> Advancement | None:
    """What was left; None where nothing was."""
    try:
        return Advancement(**json.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def forget(folder: Path) -> None:
    """The work is done."""
    (folder / NAME).unlink(missing_ok=True)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
