"""Share of single words and of pairs that stand in a text for the first time: Distinct-n (Li et al. 2016), text by text.

Over all texts together it would fall with their number, and have no confidence interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction
from polar_tools.metrics.repetition import ngrams

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """What is counted."""

    name: Literal["distinct"] = "distinct"
    tokenizer: base.Tokenizer = "word"
    """How texts are cut into words."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its different words and its words, its different pairs and its pairs; raises DataError where no text has a pair."""
    import numpy as np

    ones, pairs = (ngrams("distinct", predictions, options.tokenizer, n) for n in (1, 2))
    if not any(pairs):
        raise DataError(f"metric `distinct`: no text has two tokens for the tokenizer `{options.tokenizer}`, so there is nothing to count")
    counted = [(len(one), one.total(), len(pair), pair.total()) for one, pair in zip(ones, pairs, strict=True)]
    return np.array(counted, dtype=np.float64)


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`distinct_1` and `distinct_2`, between 0 and 1."""
    return {f"distinct_{n}": sums[..., 2 * n - 2] / sums[..., 2 * n - 1] for n in (1, 2)}


def signature(options: Options) -> str:
    """The tokenizer and what it hangs on."""
    return base.tokenizer_signature(options.tokenizer)
