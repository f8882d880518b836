"""Optimizers that another package brings."""

from __future__ import annotations

import importlib.util

from polar_tools.errors import WorldError

PACKAGES = {
    "galore": ("galore_torch", "galore-torch"),
    "apollo": ("apollo_torch", "apollo-torch"),
    "lomo": ("lomo_optim", "lomo-optim"),
    "adalomo": ("lomo_optim", "lomo-optim"),
    "grokadamw": ("grokadamw", "grokadamw"),
    "adamw_torch_4bit": ("torchao", "torchao"),
    "adamw_torch_8bit": ("torchao", "torchao"),
    "adamw_torch_xla": ("torch_xla", "torch-xla"),
    "adamw_torch_npu": ("torch_npu", "torch-npu"),
    "adamw_anyprecision": ("torchdistx", "torchdistx"),
    "schedule_free": ("schedulefree", "schedulefree"),
    "stable_adamw": ("optimi", "polar-tools[optimizers]"),
    **dict.fromkeys(
        ("adamw_bnb", "adamw_8bit", "ademamix", "lion", "paged", "rmsprop_bnb"),
        ("bitsandbytes", "polar-tools[quantize]"),
    ),
}
"""How an optimizer's name begins -> the module it needs, and what to install for it."""


def check(optim: str) -> None:
    """Raise WorldError, with what to install, where the package of an optimizer is missing."""
    for beginning, (module, package) in PACKAGES.items():
        if optim.startswith(beginning) and importlib.util.find_spec(module) is None:
            raise WorldError(f"optim: {optim} needs the package {module}, which isn't here: pip install '{package}'")
