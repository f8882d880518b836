"""gist_embed with batches of any size in little memory (GradCache)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("cached_gist", "CachedGISTEmbedLoss")
COLUMNS = base.PAIRS
TARGET: base.Target = "none"
IN_BATCH = True


class Options(base.Guided):
    """The guide, what it filters, and how many rows at once."""

    name: Literal["cached_gist_embed"] = "cached_gist_embed"
    mini_batch_size: PositiveInt = 32
    """Rows that are held in memory at once; it changes memory and time, hardly the result."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """CachedGISTEmbedLoss."""
    from sentence_transformers.sentence_transformer.losses import CachedGISTEmbedLoss

    from polar_tools.trainers.sentence_modules import load_guide

    return CachedGISTEmbedLoss(model, guide=load_guide(options.guide_model, model), **base.arguments(options, "guide_model"))
