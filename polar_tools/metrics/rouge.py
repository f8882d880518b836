"""ROUGE-1, -2, -L and -Lsum as F1, by rouge_score (Lin 2004), with a tokenizer that suits the script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from rouge_score.tokenizers import Tokenizer

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """How texts are cut into tokens before they are compared."""

    name: Literal["rouge"] = "rouge"
    tokenizer: Literal["word", "rouge-default"] = "word"
    """`word` cuts every script at unicode word boundaries; `rouge-default` is rouge_score's own, which knows only a-z and 0-9."""
    use_stemmer: bool = False
    """Porter stemming, English only, with `rouge-default` only."""


class WordTokenizer:
    """Unicode words, NFC and case-folded, for rouge_score's `tokenizer=`."""

    def tokenize(self, text: str) -> list[str]:
        """`text` as its words."""
        return re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold())


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """Mean F1 over the rows, between 0 and 1; raises DataError where a reference has no token for this tokenizer."""
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    tokenizer = _tokenizer(options)
    scorer = RougeScorer(kinds, tokenizer=tokenizer)
    texts, references = base.pairs("rouge", predictions)
    for number, reference in enumerate(references):
        if not tokenizer.tokenize(reference):
            raise DataError(
                f"rouge: the reference of row {number} ({reference[:40]!r}) has no token for the tokenizer `{options.tokenizer}`; "
                "texts outside a-z need `tokenizer: word`"
            )
    scores = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
    return {kind: sum(score[kind].fmeasure for score in scores) / len(scores) for kind in kinds}


def _tokenizer(options: Options) -> Tokenizer:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(options.use_stemmer) if options.tokenizer == "rouge-default" else WordTokenizer()
