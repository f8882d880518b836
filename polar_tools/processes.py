"""Which process is meant: by its number, by when it began, and on which machine. A number alone may be another's one day."""

from __future__ import annotations

import uuid
from pathlib import Path


def machine() -> str:
    """What tells this machine, since it was started, and its name space of processes from others; random where that isn't told."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid.uuid4().hex


def born(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's ticks; None where there is none, or only its remains."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]
