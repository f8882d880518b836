"""How much of what a model writes it has written before in the same text: above a few percent it runs in circles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import PositiveInt

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction
from polar_tools.segmentation.base import by_line

LOWER_IS_BETTER = True
SHARE = True


class Options(base.Options):
    """What is counted."""

    name: Literal["repetition"] = "repetition"
    n: PositiveInt = 4
    """Words in a row that must be the same."""
    tokenizer: base.Tokenizer = "word"
    """How texts are cut into words."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its n-grams that stood before in its text, and its n-grams."""
    import numpy as np

    counted = ngrams("repetition", predictions, options.tokenizer, options.n)
    return np.array([(grams.total() - len(grams), grams.total()) for grams in counted], dtype=np.float64)


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`repeated_Ngrams`, the share of all n-grams, between 0 and 1; 0 where texts are too short to repeat one."""
    import numpy as np

    return {f"repeated_{options.n}grams": sums[..., 0] / np.maximum(sums[..., 1], 1)}


def ngrams(metric: str, predictions: Sequence[Prediction], tokenizer: str, n: int) -> list[Counter[tuple[str, ...]]]:
    """How often each n-gram stands in each predicted text."""
    cut = by_line(base.tokenizer_named(tokenizer).tokens, base.texts(metric, predictions))
    return [Counter(zip(*(words[first:] for first in range(n)), strict=False)) for words in base.joined(cut)]


def signature(options: Options) -> str:
    """The tokenizer and what it hangs on."""
    return base.tokenizer_signature(options.tokenizer)
