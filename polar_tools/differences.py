"""Where two texts differ, word by word, and within words that are nearly the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import groupby

Piece = tuple[str, bool]
"""A part of a text, and whether the other text lacks it."""

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|\s+|[^\w\s]")
"""A word, a blank or a mark. Chinese and Japanese have no blanks between words, so that each of their characters is one."""
ALIKE, SHORTEST = 0.5, 3
"""Two words as alike as the one, by difflib's ratio, and of so many characters are compared by these: Korean words differ in their ends."""


def marked(text: str, other: str) -> list[Piece]:
    """`text` in pieces, those that `other` lacks marked."""
    mine, theirs = WORD.findall(text), WORD.findall(other)
    pieces: list[Piece] = []
    for what, start, end, other_start, other_end in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if what == "equal":
            pieces.append(("".join(mine[start:end]), False))
        elif what == "replace" and end - start == other_end - other_start:
            for word, instead in zip(mine[start:end], theirs[other_start:other_end], strict=True):
                pieces += _within(word, instead)
        else:
            pieces.append(("".join(mine[start:end]), True))
    return list(_joined(pieces))


def _within(word: str, other: str) -> Iterator[Piece]:
    matcher = SequenceMatcher(None, word, other, autojunk=False)
    if min(len(word), len(other)) < SHORTEST or matcher.ratio() < ALIKE:
        yield word, True
        return
    for what, start, end, _, _ in matcher.get_opcodes():
        yield word[start:end], what != "equal"


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one, without empty ones. Blanks between marked words are marked with them."""
    for is_other, run in groupby((piece for piece in pieces if piece[0]), key=lambda piece: piece[1]):
        yield "".join(text for text, _ in run), is_other
