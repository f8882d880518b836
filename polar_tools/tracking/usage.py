"""What a machine and a training use: looked at every few seconds, kept beside the artifact, and sent with the rest.

The names are MLflow's own, whose pages show what begins with `system/` by itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from polar_tools import advancement, energy
from polar_tools.trackers.base import NOTES

FILE = "usage.jsonl"
SECONDS = 10.0
"""From one look to the next."""
MIB = 2**20

Look = Callable[[], dict[str, float]]


class Sampler:
    """Looks at the machine, and at the processes below `process` but for this one."""

    def __init__(self, folder: Path, process: int) -> None:
        self.folder, self.file, self.process = folder, folder / NOTES / FILE, process
        self._looks = [look for look in (_machine(), _processes(process), _devices()) if look is not None]
        self._next = 0.0
        self._number = _lines(self.file)

    def look(self) -> None:
        """Keep what there is to see, if it is time to."""
        if not self._looks or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        seen = {name: round(value, 2) for look in self._looks for name, value in look().items()}
        far = advancement.read(self.folder)
        line = {"number": self._number, "time": round(time.time(), 3), "step": 0 if far is None else far.done, "values": seen}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
        self._number += 1


def _lines(file: Path) -> int:
    """How many looks there were before this process; what one left half is ended."""
    if not file.is_file():
        return 0
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        with file.open("ab") as output:
            output.write(b"\n")
    return len(content.splitlines())


def _machine() -> Look | None:
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    psutil.cpu_percent()  # the first look has nothing to compare with

    def look() -> dict[str, float]:
        memory = psutil.virtual_memory()
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": memory.used / MIB,
            "system/system_memory_usage_percentage": memory.percent,
        }

    return look


def _processes(first: int) -> Look | None:
    """The training's own processes; processors are counted in hundredths of one."""
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    known: dict[int, Any] = {}

    def look() -> dict[str, float]:
        cpu = memory = 0.0
        for one in _tree(psutil, first):
            process = known.setdefault(one.pid, one)
            try:
                cpu += process.cpu_percent()
                memory += process.memory_info().rss
            except psutil.Error:  # it ended
                known.pop(one.pid, None)
        return {"system/process_cpu_percentage": cpu, "system/process_memory_usage_megabytes": memory / MIB}

    look()
    return look


def _tree(psutil: ModuleType, first: int) -> list[Any]:
    """A process with all below it, but for this one with all below that."""
    try:
        top, mine = psutil.Process(first), psutil.Process(os.getpid())
        own = {mine.pid, *(one.pid for one in mine.children(recursive=True))}
        return [one for one in (top, *top.children(recursive=True)) if one.pid not in own]
    except psutil.Error:
        return []


def _devices() -> Look | None:
    """NVIDIA's GPUs, as far as this process may see them."""
    if not energy.DRIVER.exists():
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        numbers = [int(one) for one in shown.split(",")] if shown.replace(",", "").isdigit() else range(pynvml.nvmlDeviceGetCount())
        handles = {number: pynvml.nvmlDeviceGetHandleByIndex(number) for number in numbers}
    except Exception:  # without the package, its library or the right to look, there is nothing to see
        return None

    def look() -> dict[str, float]:
        found = {}
        for number, handle in handles.items():
            try:
                used, memory = pynvml.nvmlDeviceGetUtilizationRates(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)
                found[f"system/gpu_{number}_utilization_percentage"] = float(used.gpu)
                found[f"system/gpu_{number}_memory_usage_megabytes"] = memory.used / MIB
                found[f"system/gpu_{number}_memory_usage_percentage"] = 100 * memory.used / memory.total
                found[f"system/gpu_{number}_power_usage_watts"] = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
            except pynvml.NVMLError:  # parts of a GPU don't tell all of it
                continue
        return found

    return look
