"""contrastive on the pairs of a batch that are hard: those labelled 1 that lie far apart, those labelled 0 that lie close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("OnlineContrastiveLoss",)
COLUMNS = base.LABELS
TARGET: base.Target = "binary"
IN_BATCH = False


class Options(base.Options):
    """How far."""

    name: Literal["online_contrastive"] = "online_contrastive"
    margin: PositiveFloat = 0.5
    """Texts that don't belong together are pushed apart until their cosine distance is this."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """OnlineContrastiveLoss."""
    from sentence_transformers.sentence_transformer.losses import OnlineContrastiveLoss

    return OnlineContrastiveLoss(model, **base.arguments(options))
