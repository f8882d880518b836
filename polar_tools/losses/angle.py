"""cosent with the angle between the halves of the embeddings as complex numbers (AnglE, Li and Li 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("AnglELoss",)
COLUMNS = base.SCORES
TARGET: base.Target = "score"
IN_BATCH = False


class Options(base.Options):
    """How sharply."""

    name: Literal["angle"] = "angle"
    scale: PositiveFloat = 20.0
    """Similarities are multiplied by it: the inverse of a temperature."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """AnglELoss."""
    from sentence_transformers.sentence_transformer.losses import AnglELoss

    return AnglELoss(model, **base.arguments(options))
