"""Pairs labelled 1 are drawn together, those labelled 0 pushed apart (Hadsell et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("ContrastiveLoss",)
COLUMNS = base.LABELS
TARGET: base.Target = "binary"
IN_BATCH = False


class Options(base.Options):
    """How far."""

    name: Literal["contrastive"] = "contrastive"
    margin: PositiveFloat = 0.5
    """Texts that don't belong together are pushed apart until their cosine distance is this."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """ContrastiveLoss."""
    from sentence_transformers.sentence_transformer.losses import ContrastiveLoss

    return ContrastiveLoss(model, **base.arguments(options))
