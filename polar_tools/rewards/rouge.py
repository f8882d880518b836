"""ROUGE of the completion against a reference, as F1, in words of any script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools import rouge
from polar_tools.rewards import base
from polar_tools.segmentation import base as segmentation
from polar_tools.segmentation import word

if TYPE_CHECKING:
    import torch


class Options(base.Options):
    """Where the reference stands and what is compared."""

    name: Literal["rouge"] = "rouge"
    column: str = "completion"
    """Column that holds the reference."""
    kind: Literal["rouge1", "rouge2", "rougeL"] = "rougeL"
    """Single words, pairs of words, or the longest common subsequence."""

    def columns(self) -> tuple[str, ...]:
        """The reference."""
        return (self.column,)


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """F1 with the tokenizer that the metric `rouge` has by default."""

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        wanted = segmentation.by_line(word.tokens, base.references(attempts, options.name, options.column))
        written = segmentation.by_line(word.tokens, [attempt.completion for attempt in attempts])
        return [rouge.KINDS[options.kind](reference, text) for reference, text in zip(wanted, written, strict=True)]

    return score
