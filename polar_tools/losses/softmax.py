"""A classifier on both embeddings and their difference (Reimers and Gurevych 2019); it is left behind once the model is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools.errors import DataError
from polar_tools.losses import base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ALIASES = ("SoftmaxLoss",)
COLUMNS = base.LABELS
TARGET: base.Target = "class"
IN_BATCH = False


class Options(base.Options):
    """What the classifier sees."""

    name: Literal["softmax"] = "softmax"
    concatenation_sent_rep: bool = True
    """The two embeddings."""
    concatenation_sent_difference: bool = True
    """Their difference."""
    concatenation_sent_multiplication: bool = False
    """Their product."""


def build(options: Options, model: SentenceTransformer, classes: Sequence[str]) -> nn.Module:
    """SoftmaxLoss; raises DataError where there is but one class."""
    from sentence_transformers.sentence_transformer.losses import SoftmaxLoss

    if len(classes) < 2:
        raise DataError(f"loss `softmax` needs at least two classes; the training rows have {list(classes)}")
    size = model.get_embedding_dimension()
    return SoftmaxLoss(model, embedding_dimension=size, num_labels=len(classes), **base.arguments(options))
