"""The machine: Python, processors, memory, disk, GPUs and what they can."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from polar_tools.doctor.base import Asked, Finding
from polar_tools.plan import Plan

GB = 1e9
AMPERE = 8
"""Compute capability from which on a GPU computes in bf16."""
LITTLE_DISK = 10.0
"""GB below which a checkpoint or two may not fit."""


def look(asked: Asked) -> Iterator[Finding]:
    """What there is, and whether the config asks for more."""
    cores, memory = len(os.sched_getaffinity(0)), _memory() / GB
    yield Finding("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("processor", "good", f"{cores} core{'s' if cores > 1 else ''}, {memory:.0f} GB of memory")
    yield _disk(asked)
    if not os.access(Path(), os.W_OK):
        yield Finding("disk", "problem", f"{Path.cwd()} can't be written to; work in a folder of your own")
    yield from _gpus(asked)


def _disk(asked: Asked) -> Finding:
    """What is free, beside what the plan will write."""
    free = shutil.disk_usage(Path()).free / GB
    needed, unknown = (0.0, 0) if asked.plan is None else _planned(asked.plan)
    said = f"{free:.0f} GB free in {Path.cwd()}"
    if asked.plan is not None:
        more = f", and what of {unknown} artifacts isn't known yet" if unknown else ""
        said += f"; the plan writes about {needed:.1f} GB{more}"
    if needed > free:
        return Finding("disk", "problem", f"{said}: free some, or keep fewer checkpoints (`save_total_limit`)")
    if free < LITTLE_DISK:
        return Finding("disk", "note", f"{said} (little: checkpoints of a model of a billion weights take 16 GB each)")
    return Finding("disk", "good", said)


def _gpus(asked: Asked) -> Iterator[Finding]:
    wanted = 0 if asked.plan is None or asked.profile is not None else max(map(asked.plan.gpus, asked.plan.artifacts), default=0)
    if importlib.util.find_spec("torch") is None:
        yield Finding("gpu", "note", "torch isn't installed, which would know")
        return
    import torch

    count = torch.cuda.device_count()
    for number in range(count):
        about = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if about.major >= AMPERE else "no bf16: set `fp16: true`"
        yield Finding("gpu", "good", f"{number}: {about.name}, {about.total_memory / GB:.0f} GB, {bf16}")
    if not count:
        yield Finding("gpu", "note", f"none that torch {torch.__version__} can use: trainings run on the processor")
    old = [number for number in range(count) if torch.cuda.get_device_properties(number).major < AMPERE]
    if old and asked.config is not None and asked.profile is None:
        for name, one in asked.config.experiments.items():
            if one.gpus and (one.bf16 or one.dtype == "bfloat16"):
                yield Finding("gpu", "problem", f"experiments.{name} asks for bf16, which GPU {old[0]} has none of: set `fp16: true`")
    if wanted > count:
        yield Finding(
            "gpu", "problem", f"the config asks for gpus: {wanted}, and there are {count}; lower `gpus`, or use a cluster's profile"
        )


def _planned(plan: Plan) -> tuple[float, int]:
    """GB that what is still to make will write, as far as that is known, and of how many artifacts it isn't."""
    from polar_tools.estimates.planned import Planned

    found = [one.disk_mb for one in Planned(plan).pending]
    return sum(size for size in found if size is not None) * 1024**2 / GB, found.count(None)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
