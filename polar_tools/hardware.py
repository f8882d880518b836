"""What this machine computes with, by name."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PROCESSORS = Path("/proc/cpuinfo")
_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What the drivers of GPUs make, one at least: of NVIDIA, of AMD, of either below Windows."""
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
    """How many GPUs torch shows here. It is asked in a process of its own: this one may have to tell it something before it is loaded."""
    if not any(device.exists() for device in _DEVICES) or find_spec("torch") is None:
        return 0
    asked = subprocess.run([sys.executable, "-c", "import torch; print(torch.cuda.device_count())"], capture_output=True, check=False)
    return int(asked.stdout or 0)


def _processor() -> str | None:
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return None
    named = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in named if key.strip() in _MODEL and value.strip()), None)
