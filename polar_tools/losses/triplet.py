"""The positive nearer to the anchor than the negative, by a margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("TripletLoss",)
COLUMNS = base.TRIPLETS
TARGET: base.Target = "none"
IN_BATCH = False


class Options(base.Options):
    """How near."""

    name: Literal["triplet"] = "triplet"
    triplet_margin: PositiveFloat = 5.0
    """By how much the negative must be farther away. Normalized embeddings are never more than 2 apart: there, take less, such as 0.5."""
    distance_metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean"
    """How distance is measured."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """TripletLoss."""
    from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss

    distance = getattr(TripletDistanceMetric, options.distance_metric.upper())
    return TripletLoss(model, distance_metric=distance, triplet_margin=options.triplet_margin)
