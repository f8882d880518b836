"""ROUGE-1, -2, -L and -Lsum as F1, and their sum (Lin 2004), with a tokenizer that suits the script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from pydantic import model_validator

from polar_tools import rouge
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True
ENGLISH = "rouge-default"
LONG = 3
"""Shorter words are left as they are by rouge_score, and so here."""


class Options(base.Options):
    """How texts are cut into tokens before they are compared."""

    name: Literal["rouge"] = "rouge"
    tokenizer: base.Tokenizer = "word"
    """`word` cuts every script into words, `char` into characters, `morpheme` Korean; `rouge-default` knows only a-z and 0-9."""
    use_stemmer: bool = False
    """Porter stemming, English only, with `rouge-default` only."""

    @model_validator(mode="after")
    def _stems_are_english(self) -> Options:
        if self.use_stemmer and self.tokenizer != ENGLISH:
            raise ValueError(f"use_stemmer: stems are those of English words by `tokenizer: {ENGLISH}`; not with `{self.tokenizer}`")
        return self


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its F1 of each kind, and that it is one; raises DataError where a side has text but no token for this tokenizer."""
    texts, references = (_stemmed(side, options) for side in base.tokens("rouge", predictions, options.tokenizer))
    found = [rouge.scores(reference, text).values() for text, reference in zip(texts, references, strict=True)]
    return base.rows_of(*zip(*found, strict=True))


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """The mean over the rows of each kind, between 0 and 1, and `rouge_sum`, the sum of the four."""
    found = base.means(sums, *rouge.KINDS)
    return {**found, "rouge_sum": sum(found.values())}


def signature(options: Options) -> str:
    """The tokenizer and what it hangs on."""
    return base.tokenizer_signature(options.tokenizer) + ("|stem:porter" if options.use_stemmer else "")


def _stemmed(texts: Sequence[Sequence[list[str]]], options: Options) -> Sequence[Sequence[list[str]]]:
    if not options.use_stemmer:
        return texts
    from nltk.stem.porter import PorterStemmer

    stem = cache(PorterStemmer().stem)
    return [[[stem(token) if len(token) > LONG else token for token in line] for line in lines] for lines in texts]
