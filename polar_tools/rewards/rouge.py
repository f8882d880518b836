"""ROUGE of the completion against a reference, as F1, in words of any script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools.rewards import base

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
    """F1 by rouge_score with the tokenizer of the metric `rouge`."""
    from rouge_score.rouge_scorer import RougeScorer

    from polar_tools.metrics.rouge import WordTokenizer

    scorer = RougeScorer([options.kind], tokenizer=WordTokenizer())

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        wanted = base.references(attempts, options.name, options.column)
        return [
            float(scorer.score(text, attempt.completion)[options.kind].fmeasure) for attempt, text in zip(attempts, wanted, strict=True)
        ]

    return score
