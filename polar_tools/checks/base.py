"""What every check of the preflight shares: its outcome, and how much two equal things may differ.

A check file has TITLE (what must hold), MEANS (what a failure means, and where to look) and `run(trial) -> Outcome`. A check whose
name is one that a method's CHECKS can hold is made for methods that name it; any other is made for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from polar_tools.methods.base import Config

BY_METHOD = ("packing", "accumulation", "save_load", "same_ids", "mask")
"""What a method's CHECKS may name: what doesn't hold of every method by its nature."""

LOSS, GRADIENT, OUTPUT = (1e-5, 1e-2), (1e-3, 5e-2), (1e-3, 5e-2)
"""How much a loss, a gradient and outputs may differ, as a share, by rounding alone: in 32 bits, and in 16."""

Result = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True)
class Outcome:
    """How a check came out; `figure` is what was seen, in a few words."""

    result: Result
    figure: str
    means: str = ""
    """What it means, where it isn't what the check says."""


def judged(passed: bool, figure: str) -> Outcome:
    """An outcome that is one or the other."""
    return Outcome("passed" if passed else "failed", figure)


def not_applicable(why: str) -> Outcome:
    """An outcome of a check that has nothing to look at."""
    return Outcome("not applicable", why)


def tolerance(config: Config, kind: tuple[float, float]) -> float:
    """The smaller of two shares where all is computed in 32 bits, the larger elsewhere."""
    whole = config.dtype == "float32" and not (config.bf16 or config.fp16 or config.quantization)
    return kind[0] if whole else kind[1]


def difference(one: Mapping[Any, torch.Tensor], other: Mapping[Any, torch.Tensor]) -> float:
    """The size of the difference of two lots of numbers, as a share of the size of the larger."""
    apart = sum(float((_of(one, name, tensor) - tensor.float()).square().sum()) for name, tensor in other.items())
    apart += sum(float(tensor.float().square().sum()) for name, tensor in one.items() if name not in other)
    size = max(sum(float(tensor.float().square().sum()) for tensor in lot.values()) for lot in (one, other))
    return float((apart / size) ** 0.5) if size else 0.0


def _of(lot: Mapping[Any, torch.Tensor], name: Any, like: torch.Tensor) -> torch.Tensor:
    return lot[name].float() if name in lot else like.new_zeros(()).float()
