"""Energy as the machine's own counters tell it: of the processors (RAPL) and of NVIDIA's GPUs (NVML).

They count all that runs there, not one program: what is read is what the machine used while the work went on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

POWERCAP, DRIVER = Path("/sys/class/powercap"), Path("/proc/driver/nvidia")
SECONDS = 60.0
"""How often counters are looked at: those of processors begin anew after some minutes of full work."""

Counter = Callable[[], float]


class Meter:
    """Adds up, while it is entered, what counters have grown by; `joules` is empty where there are none, or none may be read."""

    def __init__(self, powercap: Path = POWERCAP, seconds: float = SECONDS) -> None:
        self._packages = {folder: _range(folder) for folder in sorted(powercap.glob("intel-rapl:*")) if folder.name.count(":") == 1}
        self._packages = {folder: most for folder, most in self._packages.items() if most}
        self._devices = _devices()
        self._seconds, self._ended = seconds, threading.Event()
        self._last: dict[Path, int] = {}
        self.joules: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._last = {folder: _microjoules(folder) for folder in self._packages}
        self._begun = [device() for device in self._devices]
        self.joules = {"cpu": 0.0} if self._packages else {}
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        if self._packages:
            self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._packages:
            self._ended.set()
            self._watcher.join()
            self._add()
        if self._devices:
            self.joules["gpu"] = sum(device() - begun for device, begun in zip(self._devices, self._begun, strict=True)) / 1000

    def measured(self) -> Mapping[str, Mapping[str, float]]:
        """For a manifest: `energy_joules` by kind, rounded; nothing where nothing could be read."""
        return {"energy_joules": {kind: round(joules, 1) for kind, joules in self.joules.items()}} if self.joules else {}

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds):
            self._add()

    def _add(self) -> None:
        for folder, most in self._packages.items():
            now = _microjoules(folder)
            self.joules["cpu"] += (now - self._last[folder]) % (most + 1) / 1e6
            self._last[folder] = now


def _microjoules(folder: Path) -> int:
    return int((folder / "energy_uj").read_text(encoding="ascii"))


def _range(folder: Path) -> int:
    """Where a package's counter begins anew; 0 where it can't be read, as without rights since Linux 5.10."""
    try:
        _microjoules(folder)
        return int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _devices() -> list[Counter]:
    """What each visible GPU has used since its driver was loaded, in millijoules; none without its driver and the package nvidia-ml-py."""
    if not DRIVER.exists():
        return []
    try:
        import pynvml
    except ModuleNotFoundError:
        return []
    try:
        pynvml.nvmlInit()
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        numbers = [int(one) for one in seen.split(",")] if seen.replace(",", "").isdigit() else range(pynvml.nvmlDeviceGetCount())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in numbers]
        for handle in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # an older GPU doesn't count
        return []
    return [partial(_millijoules, pynvml, handle) for handle in handles]


def _millijoules(nvml: ModuleType, handle: Any) -> float:
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
