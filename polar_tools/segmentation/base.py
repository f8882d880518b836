"""What every way to cut texts has, and the texts of many rows as tokens, line by line.

A file has ALIASES, LIBRARIES (the packages on whose version its tokens depend) and tokens(texts) -> the tokens of each text. What a reader
wouldn't call a difference is none: NFC or NFD, great letters or small.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain

Tokens = list[str]
Cut = Callable[[Sequence[str]], list[Tokens]]


def plain(text: str) -> str:
    """`text` composed (NFC) and case-folded."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def by_line(cut: Cut, texts: Sequence[str]) -> list[list[Tokens]]:
    """The tokens of each line of each text; what is cut is always a line, so that the tokens of a text are those of its lines."""
    split = [text.split("\n") for text in texts]
    known = list(dict.fromkeys(chain.from_iterable(split)))
    found = dict(zip(known, cut(known), strict=True))
    return [[found[line] for line in lines] for lines in split]


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit of any script in `text`."""
    return any(letter.isalnum() for letter in text)
