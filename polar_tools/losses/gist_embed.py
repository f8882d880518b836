"""multiple_negatives_ranking without the negatives that a guide model holds for nearer than the positive (GISTEmbed, Solatorio 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("gist", "GISTEmbedLoss")
COLUMNS = base.PAIRS
TARGET: base.Target = "none"
IN_BATCH = True


class Options(base.Guided):
    """The guide, and what it filters."""

    name: Literal["gist_embed"] = "gist_embed"


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """GISTEmbedLoss."""
    from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss

    from polar_tools.trainers.sentence_modules import load_guide

    return GISTEmbedLoss(model, guide=load_guide(options.guide_model, model), **base.arguments(options, "guide_model"))
