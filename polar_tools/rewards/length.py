"""1 for a completion of the target length, less for every word or character that is missing or too many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from polar_tools.rewards import base

if TYPE_CHECKING:
    import torch


class Options(base.Options):
    """The length that is wanted."""

    name: Literal["length"] = "length"
    target: PositiveInt
    """The best length; a completion of twice that, or an empty one, gets 0."""
    unit: Literal["words", "characters"] = "words"
    """What is counted; words stand between blanks."""
    shorter_is_fine: bool = False
    """Whether every length up to `target` gets 1, so that only what is too long costs something."""


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """Straight lines down from the target, to 0."""

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        return [_reward(options, len(text.split() if options.unit == "words" else text)) for _, text, _ in attempts]

    return score


def _reward(options: Options, length: int) -> float:
    distance = max(0, length - options.target) if options.shorter_is_fine else abs(length - options.target)
    return max(0.0, 1 - distance / options.target)
