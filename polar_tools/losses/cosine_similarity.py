"""The squared difference between cosine and score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("cosine", "CosineSimilarityLoss")
COLUMNS = base.SCORES
TARGET: base.Target = "cosine"
IN_BATCH = False


class Options(base.Options):
    """No options."""

    name: Literal["cosine_similarity"] = "cosine_similarity"


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """CosineSimilarityLoss."""
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

    return CosineSimilarityLoss(model, **base.arguments(options))
