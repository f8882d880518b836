"""multiple_negatives_ranking with batches of any size in little memory (GradCache, Gao et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat, PositiveInt

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("cached_mnrl", "cmnrl", "CachedMultipleNegativesRankingLoss")
COLUMNS = base.PAIRS
TARGET: base.Target = "none"
IN_BATCH = True


class Options(base.Options):
    """How sharply, and how many rows at once."""

    name: Literal["cached_multiple_negatives_ranking"] = "cached_multiple_negatives_ranking"
    scale: PositiveFloat = 20.0
    """Similarities are multiplied by it: the inverse of a temperature."""
    mini_batch_size: PositiveInt = 32
    """Rows that are held in memory at once; it changes memory and time, hardly the result."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """CachedMultipleNegativesRankingLoss."""
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    return CachedMultipleNegativesRankingLoss(model, **base.arguments(options))
