"""How long texts are that a model writes, also beside their references."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction
from polar_tools.segmentation.base import by_line

LOWER_IS_BETTER = None
SHARE = False


class Options(base.Options):
    """What is counted."""

    name: Literal["length"] = "length"
    tokenizer: base.Tokenizer = "word"
    """How texts are cut into the words that are counted."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row the words and the characters that were written, the characters wanted where references are known, and that it is one.

    Raises DataError for a row without a text, and where some rows have a reference and some have none.
    """
    texts, references = base.texts("length", predictions), [row.reference for row in predictions]
    known = sum(bool(reference.strip()) for reference in references)
    if 0 < known < len(references):
        raise DataError(f"metric `length`: {len(references) - known} of {len(references)} references are empty; drop them with `missing`")
    cut = by_line(base.tokenizer_named(options.tokenizer).tokens, texts)
    return base.rows_of(list(map(len, base.joined(cut))), _characters(texts), *([_characters(references)] if known else []))


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`mean_words` and `mean_characters` of a text, and `length_ratio`, all characters written for each that was wanted."""
    found = base.means(sums, "mean_words", "mean_characters")
    return found if sums.shape[-1] == 3 else {**found, "length_ratio": sums[..., 1] / sums[..., 2]}


def _characters(texts: Sequence[str]) -> list[int]:
    """As NFC, in which a Korean syllable is one."""
    return [len(unicodedata.normalize("NFC", text)) for text in texts]


def signature(options: Options) -> str:
    """The tokenizer and what it hangs on."""
    return base.tokenizer_signature(options.tokenizer)
