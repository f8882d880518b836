"""The machine: Python, processors, memory, disk, GPUs and what they can."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from polar_tools.doctor.base import Asked, Finding

GB = 1e9
LITTLE_DISK = 10.0
"""GB below which a checkpoint or two may not fit."""


def look(asked: Asked) -> Iterator[Finding]:
    """What there is, and whether the config asks for more."""
    cores, memory, disk = len(os.sched_getaffinity(0)), _memory() / GB, shutil.disk_usage(Path()).free / GB
    yield Finding("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("processor", "good", f"{cores} core{'s' if cores > 1 else ''}, {memory:.0f} GB of memory")
    little = " (little: checkpoints of a model of a billion weights take 16 GB each)" if disk < LITTLE_DISK else ""
    yield Finding("disk", "note" if little else "good", f"{disk:.0f} GB free in {Path.cwd()}{little}")
    if not os.access(Path(), os.W_OK):
        yield Finding("disk", "problem", f"{Path.cwd()} can't be written to; work in a folder of your own")
    yield from _gpus(asked)


def _gpus(asked: Asked) -> Iterator[Finding]:
    wanted = 0 if asked.plan is None or asked.profile is not None else max(map(asked.plan.gpus, asked.plan.artifacts), default=0)
    if importlib.util.find_spec("torch") is None:
        yield Finding("gpu", "note", "torch isn't installed, which would know")
        return
    import torch

    count = torch.cuda.device_count()
    for number in range(count):
        about = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if about.major >= 8 else "no bf16: set `fp16: true`"
        yield Finding("gpu", "good", f"{number}: {about.name}, {about.total_memory / GB:.0f} GB, {bf16}")
    if not count:
        yield Finding("gpu", "note", f"none that torch {torch.__version__} can use: trainings run on the processor")
    if wanted > count:
        yield Finding(
            "gpu", "problem", f"the config asks for gpus: {wanted}, and there are {count}; lower `gpus`, or use a cluster's profile"
        )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
