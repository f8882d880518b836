"""What is compiled for a machine: flash attention, and what DeepSpeed builds when it is first used."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from importlib import metadata

from polar_tools.doctor.base import Asked, Finding
from polar_tools.methods.base import Config as Experiment

FLASH = "flash_attention_2"
BUILD = "pip install flash-attn --no-build-isolation (it needs nvcc, and a GPU of compute capability 8.0 or newer)"


def look(asked: Asked) -> Iterator[Finding]:
    """What there is, and whether the config asks for more; what a cluster's nodes have, this machine can't tell."""
    experiments = {} if asked.config is None or asked.profile is not None else asked.config.experiments
    yield _flash(experiments)
    if importlib.util.find_spec("deepspeed") is not None:
        yield _deepspeed(experiments)


def _flash(experiments: dict[str, Experiment]) -> Finding:
    wanting = [name for name, one in experiments.items() if one.attn_implementation == FLASH and not one.attn_fallback]
    if importlib.util.find_spec("flash_attn") is None:
        why = f"experiments.{wanting[0]} asks for {FLASH}: set `attn_fallback: true`, or " if wanting else "sdpa does without it; for it: "
        return Finding("flash", "problem" if wanting else "note", f"flash-attn isn't here; {why}{BUILD}")
    import torch

    version = metadata.version("flash_attn")
    if not torch.cuda.is_available() or torch.cuda.get_device_capability()[0] < 8:
        said = f"flash-attn {version} finds no GPU of compute capability 8.0 or newer; set `attn_implementation: sdpa`"
        return Finding("flash", "problem" if wanting else "note", said)
    return Finding("flash", "good", f"flash-attn {version}: `attn_implementation: {FLASH}`")


def _deepspeed(experiments: dict[str, Experiment]) -> Finding:
    version = metadata.version("deepspeed")
    missing = [] if shutil.which("c++") or shutil.which("g++") else ["a C++ compiler: apt-get install g++"]
    missing += [] if importlib.util.find_spec("ninja") else ["ninja: pip install ninja"]
    offloading = [name for name, one in experiments.items() if one.deepspeed is not None and "offload" in str(one.deepspeed)]
    if missing:
        why = f"experiments.{offloading[0]}" if offloading else "offloading (`deepspeed: zero3-offload`)"
        said = f"deepspeed {version}; for {why} it compiles its optimizer, and misses {'; '.join(missing)}"
        return Finding("deepspeed", "problem" if offloading else "note", said)
    return Finding("deepspeed", "good", f"deepspeed {version}, with what it compiles its optimizer by")
