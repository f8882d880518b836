"""The tokenizer of rouge_score: a-z and 0-9 and nothing else, to compare with published figures for English.

It drops all letters of other scripts, so that two identical Korean texts have nothing in common.
"""

from __future__ import annotations

from collections.abc import Sequence

from polar_tools.segmentation import base

ALIASES = ("rouge-default",)
LIBRARIES = ("rouge-score",)


def tokens(texts: Sequence[str]) -> list[base.Tokens]:
    """The words of each text, not stemmed."""
    from rouge_score.tokenize import tokenize

    return [tokenize(text, None) for text in texts]
