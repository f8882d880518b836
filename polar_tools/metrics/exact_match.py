"""Share of texts that are the reference but for case, punctuation, white space and articles, as SQuAD has it, in every script."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction
from polar_tools.segmentation.base import plain

LOWER_IS_BETTER = False
SHARE = True
ARTICLES = re.compile(r"\b(a|an|the)\b")


class Options(base.Options):
    """What doesn't count."""

    name: Literal["exact_match"] = "exact_match"
    normalize: bool = True
    """Whether case, punctuation, white space and English articles are no difference."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row whether it is right, and that it is one."""
    clean = normalized if options.normalize else composed
    texts, references = ([clean(text) for text in side] for side in base.pairs("exact_match", predictions))
    return base.rows_of([float(text == reference) for text, reference in zip(texts, references, strict=True)])


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`exact_match`, between 0 and 1."""
    return base.means(sums, "exact_match")


def composed(text: str) -> str:
    """`text` as NFC: the same letters, however they were typed."""
    return unicodedata.normalize("NFC", text)


def normalized(text: str) -> str:
    """`text` as SQuAD compares it: what is punctuation in any script is none. What would leave nothing, such as the answer `A`, stays."""
    folded = plain(text)
    bare = "".join(letter for letter in folded if not _is_punctuation(letter))
    kept = (" ".join(words.split()) for words in (ARTICLES.sub(" ", bare), bare, folded))
    return next(filter(None, kept), "")


def _is_punctuation(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")
