"""1 where the completion is the reference, otherwise 0."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools.rewards import base

if TYPE_CHECKING:
    import torch


class Options(base.Options):
    """Where the reference stands and how it is compared."""

    name: Literal["exact_match"] = "exact_match"
    column: str = "completion"
    """Column that holds the reference."""
    ignore_case: bool = False
    """Whether small letters equal capitals."""

    def columns(self) -> tuple[str, ...]:
        """The reference."""
        return (self.column,)


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """Texts compared in Unicode's form NFC, without outer blanks."""

    def plain(text: str) -> str:
        text = unicodedata.normalize("NFC", text).strip()
        return text.casefold() if options.ignore_case else text

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        wanted = base.references(attempts, options.name, options.column)
        return [float(plain(attempt.completion) == plain(text)) for attempt, text in zip(attempts, wanted, strict=True)]

    return score
