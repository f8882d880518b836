"""What this machine computes with, by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_PROCESSORS = Path("/proc/cpuinfo")
_GPUS = Path("/proc/driver/nvidia/gpus")
_MODEL = ("model name", "Model", "uarch", "cpu model")
"""What kernels of different processors call it."""


def there_is() -> dict[str, Any]:
    """`cpu`, where the system names it; `gpus`, of what this process has used them through torch."""
    found: dict[str, Any] = {"cpu": name} if (name := _processor()) else {}
    torch = sys.modules.get("torch")  # who has not loaded it has used none
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        found["gpus"] = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return found


def gpus() -> int:
    """How many GPUs the driver of this machine has; to ask torch would take seconds."""
    try:
        return sum(1 for _ in _GPUS.iterdir())
    except OSError:
        return 0


def _processor() -> str | None:
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return None
    named = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in named if key.strip() in _MODEL and value.strip()), None)
