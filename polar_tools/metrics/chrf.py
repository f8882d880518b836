"""chrF of all texts together: F of character n-grams (Popović 2015), by sacrebleu; it needs no tokenizer in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeInt

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

if TYPE_CHECKING:
    from sacrebleu.metrics import CHRF

LOWER_IS_BETTER = False
SHARE = True
BETA = 2
"""How much more recall counts than precision."""


class Options(base.Options):
    """Whether words count too."""

    name: Literal["chrf"] = "chrf"
    word_order: NonNegativeInt = 0
    """The longest n-grams of words that count beside those of up to six characters; 2 is known as chrF++."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row and each order the n-grams that its text has, that its reference has, and that both have."""
    import numpy as np

    texts, references = ([unicodedata.normalize("NFC", text) for text in side] for side in base.pairs("chrf", predictions))
    return np.array(_scorer(options)._extract_corpus_statistics(texts, [references]), dtype=np.float64)  # as its own bootstrap does


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`chrf`, between 0 and 1."""
    import numpy as np

    written, wanted, right = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    counts = (written > 0) & (wanted > 0)
    orders = np.maximum(counts.sum(-1), 1)
    precision, recall = (np.where(counts, right / np.maximum(of, 1), 0).sum(-1) / orders for of in (written, wanted))
    weighted = BETA**2 * precision + recall
    return {"chrf": np.where(weighted > 0, (1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1), 0.0)}


def signature(options: Options) -> str:
    """As sacrebleu writes it."""
    scorer = _scorer(options)
    scorer._cache_references([["reference"]])  # it tells the number of references only then
    return str(scorer.get_signature())


def _scorer(options: Options) -> CHRF:
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=options.word_order, beta=BETA)
