"""F1 of the tokens that a text and its reference have in common, as SQuAD has it, in every script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction
from polar_tools.metrics.exact_match import normalized

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """How texts are cut into tokens before they are compared."""

    name: Literal["token_f1"] = "token_f1"
    tokenizer: base.Tokenizer = "word"
    """`word` for English as SQuAD has it, `char` for Korean as KorQuAD has it; `morpheme` leaves particles out of Korean words."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its F1, and that it is one; raises DataError where a side has text but no token for this tokenizer."""
    base.pairs("token_f1", predictions)
    clean = [replace(row, prediction=normalized(row.prediction or ""), reference=normalized(row.reference)) for row in predictions]
    texts, references = map(base.joined, base.tokens("token_f1", clean, options.tokenizer))
    return base.rows_of([_f1(text, reference) for text, reference in zip(texts, references, strict=True)])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`token_f1`, the mean over the rows, between 0 and 1."""
    return base.means(sums, "token_f1")


def signature(options: Options) -> str:
    """The tokenizer and what it hangs on."""
    return base.tokenizer_signature(options.tokenizer)


def _f1(text: list[str], reference: list[str]) -> float:
    return 2 * (Counter(text) & Counter(reference)).total() / (len(text) + len(reference))
