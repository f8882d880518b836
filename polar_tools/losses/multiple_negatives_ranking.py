"""The positive of a row against those of all others in its batch (InfoNCE), and against negatives where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("mnrl", "MultipleNegativesRankingLoss")
COLUMNS = base.PAIRS
TARGET: base.Target = "none"
IN_BATCH = True


class Options(base.Options):
    """How sharply."""

    name: Literal["multiple_negatives_ranking"] = "multiple_negatives_ranking"
    scale: PositiveFloat = 20.0
    """Similarities are multiplied by it: the inverse of a temperature."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """MultipleNegativesRankingLoss."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(model, **base.arguments(options))
