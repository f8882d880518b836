"""How much memory this process has needed. Nothing heavy is imported: a stage may ask at any time."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_LIMIT, _MEMORY = Path("/sys/fs/cgroup/memory.max"), Path("/proc/meminfo")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb() -> int:
    """The most memory in MiB that this process has held since it began, or since `forget_peak`.

    Linux tells it of the process alone; what `getrusage` tells there includes the process that started this one, if that was larger.
    """
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:"))


def there_is_mb() -> int | None:
    """The memory in MiB that this process may have: the machine's, or less where a cgroup (a container, a cluster's job) sets a limit."""
    try:
        lines = _MEMORY.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # no Linux
        return None
    machine = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemTotal:"))
    limit = _LIMIT.read_text(encoding="ascii").strip() if _LIMIT.is_file() else "max"
    return min(machine, int(limit) // 2**20) if limit.isdigit() else machine


def forget_peak() -> bool:
    """Begin anew with what is held now; False where the system doesn't allow it, and `peak_mb` goes on as before."""
    try:
        _CLEAR.write_text("5", encoding="ascii")  # man 5 proc: resets the peak resident set size
    except OSError:
        return False
    return True
