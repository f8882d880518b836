"""Amounts as people write them, and as they read them. Memory is in MiB throughout, as in Snakemake's `mem_mb`."""

from __future__ import annotations

import re

from polar_tools.errors import ConfigError

MIB = 2**20
"""Bytes of a MiB."""
_MEMORY: dict[str, float] = {"": MIB, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": MIB, "GIB": 2**30, "TIB": 2**40}
_SPEED = {"TFLOPS": 1e12, "GFLOPS": 1e9, "PFLOPS": 1e15}
_TIME = {"GPUH": 1.0, "GPUD": 24.0}


class UnknownError(Exception):
    """A figure can't be known yet; the message is the reason, as people read it."""


def memory(text: str) -> float:
    """`80GB`, `24 GiB` or plain MiB, as MiB; raises ConfigError for anything else."""
    return _amount(text, _MEMORY, "memory", "80GB or 24GiB") / MIB


def gpu_hours(text: str) -> float:
    """`40GPUh`, or `2GPUd` for days, as hours; raises ConfigError for anything else."""
    return _amount(text, _TIME, "budget", "40GPUh")


def speed(text: str) -> float:
    """`400TFLOPS` as floating-point operations a second; raises ConfigError for anything else."""
    return _amount(text, _SPEED, "speed", "400TFLOPS")


def _amount(text: str, units: dict[str, float], what: str, example: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in units or not float(found[1]):
        raise ConfigError(f"`{text}` is no {what}; write it like {example}")
    return float(found[1]) * units[found[2].upper()]


def shown_memory(mib: float) -> str:
    """`512 MB`, `7.2 GB`, `1.2 TB`, in powers of 1024."""
    for size, unit, digits in ((2**20, "TB", 1), (2**10, "GB", 1), (1, "MB", 0)):
        if mib >= size:
            return f"{mib / size:.{digits}f} {unit}"
    return "0 MB" if mib < 0.5 else "1 MB"


def shown_time(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `2.1 d`."""
    for size, unit, digits in ((86400, "d", 1), (3600, "h", 1), (90, "min", 0)):
        if seconds >= size:
            return f"{seconds / {'d': 86400, 'h': 3600, 'min': 60}[unit]:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def shown_count(number: float) -> str:
    """`850`, `1.2k`, `3.4M`, `7.0B`."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"
