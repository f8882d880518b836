"""Characters as people see them (grapheme clusters), without white space; punctuation counts.

For scripts without spaces, and for Korean, where a word carries its particle with it and hardly ever occurs twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from polar_tools.segmentation import base

ALIASES = ("character",)
LIBRARIES = ("regex",)


def tokens(texts: Sequence[str]) -> list[base.Tokens]:
    """The characters of each text."""
    import regex

    seen = regex.compile(r"\X").findall
    return [[one for one in (list if text.isascii() else seen)(base.plain(text)) if not one.isspace()] for text in texts]
