"""Pairs of a batch in the order of their scores, whatever the scores' scale (CoSENT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("CoSENTLoss",)
COLUMNS = base.SCORES
TARGET: base.Target = "score"
IN_BATCH = False


class Options(base.Options):
    """How sharply."""

    name: Literal["cosent"] = "cosent"
    scale: PositiveFloat = 20.0
    """Similarities are multiplied by it: the inverse of a temperature."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """CoSENTLoss."""
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    return CoSENTLoss(model, **base.arguments(options))
