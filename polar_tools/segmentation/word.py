"""Words of every script; where a script has no spaces between them, its characters.

Marks stay with their letters, such as the vowels of Hindi. Punctuation and symbols are no words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from polar_tools.segmentation import base

ALIASES = ()
LIBRARIES = ("regex",)
SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
WORDS = (
    rf"(?V1)[{SPACELESS}]\p{{M}}*"
    rf"|[[\w\p{{M}}]--[{SPACELESS}]][[\w\p{{M}}\u200c\u200d]--[{SPACELESS}]]*"  # joiners stand within words of Persian and Hindi
)
ASCII = re.compile(r"\w+")


def tokens(texts: Sequence[str]) -> list[base.Tokens]:
    """The words of each text."""
    anywhere = _anywhere()
    return [ASCII.findall(base.plain(text)) if text.isascii() else anywhere(base.plain(text)) for text in texts]


@cache
def _anywhere() -> Callable[[str], list[str]]:
    import regex

    find: Callable[[str], list[str]] = regex.compile(WORDS).findall
    return find
