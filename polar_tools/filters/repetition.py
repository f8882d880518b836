"""Drop rows that repeat themselves, by the rules that Gopher's data was filtered with.

Rules and thresholds are table A1 of Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher"
(arXiv:2112.11446). Their documents are web pages: for rows of a sentence or two give higher ones. An n-gram that stands in a text only
once is none of its `top_ngrams`, or every text of two words would be repetition.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa

Share = Annotated[NonNegativeFloat, Field(le=1)]
Size = Annotated[PositiveInt, Field(ge=2)]


class Options(base.Options):
    """The column, and the largest share of a text that each kind of repetition may be; 1 turns a rule off."""

    name: Literal["repetition"] = "repetition"
    column: str
    """Column that is looked at; of a list of messages all contents together, with a line end between two."""
    duplicate_lines: Share = 0.3
    """Lines that stood before, of all lines."""
    duplicate_line_characters: Share = 0.2
    """Characters of lines that stood before."""
    duplicate_paragraphs: Share = 0.3
    """Paragraphs that stood before, of all paragraphs: what stands between empty lines."""
    duplicate_paragraph_characters: Share = 0.2
    """Characters of paragraphs that stood before."""
    top_ngrams: dict[Size, Share] = {2: 0.2, 3: 0.18, 4: 0.16}
    """Words of an n-gram -> characters of the one that takes most room, of those that stand there twice or more."""
    duplicate_ngrams: dict[Size, Share] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
    """Words of an n-gram -> characters of all that stood before; none is counted twice."""
    max_character_run: PositiveInt | None = None
    """Most times that a character may follow itself, white space aside; not one of Gopher's rules."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The rows within all thresholds. A null and a text without a word stay: `missing` drops them."""
    for table in chunks:
        yield table.filter(base.mask(not text or not _repeats(text, options) for text in base.texts(table, options.column)))


def _repeats(text: str, options: Options) -> bool:
    """Whether `text` breaks a rule; the quick rules come first."""
    return (
        _runs(text, options.max_character_run)
        or _exceeds(re.split(r"\n+", text.strip()), options.duplicate_lines, options.duplicate_line_characters)
        or _exceeds(re.split(r"\n\s*\n", text.strip()), options.duplicate_paragraphs, options.duplicate_paragraph_characters)
        or _repeats_ngrams(text.split(), options)
    )


def _runs(text: str, longest: int | None) -> bool:
    return longest is not None and re.search(rf"(\S)\1{{{longest}}}", text) is not None


def _exceeds(parts: list[str], number: float, characters: float) -> bool:
    """Whether too many of `parts` stood before, or too much of all their characters."""
    repeated = [part for part, times in Counter(parts).items() for _ in range(times - 1)]
    total = sum(map(len, parts))
    return len(repeated) > number * len(parts) or sum(map(len, repeated)) > characters * total


def _repeats_ngrams(words: list[str], options: Options) -> bool:
    total = sum(map(len, words))
    for size in sorted({*options.top_ngrams, *options.duplicate_ngrams}):
        repeated = _repeated(words, size)
        if not repeated:
            return False  # and so no longer one is
        top = max(_characters(words, size, starts) for starts in repeated)
        again = _characters(words, size, [start for starts in repeated for start in starts[1:]])
        if top > options.top_ngrams.get(size, 1) * total or again > options.duplicate_ngrams.get(size, 1) * total:
            return True
    return False


def _repeated(words: list[str], size: int) -> list[list[int]]:
    """Where each n-gram begins that stands in `words` twice or more."""
    places: dict[tuple[str, ...], list[int]] = {}
    for start, ngram in enumerate(zip(*(words[first:] for first in range(size)), strict=False)):
        places.setdefault(ngram, []).append(start)
    return [starts for starts in places.values() if len(starts) > 1]


def _characters(words: list[str], size: int, starts: list[int]) -> int:
    """Characters of the n-grams that begin at `starts`; where they overlap, once."""
    return sum(len(words[place]) for place in {start + offset for start in starts for offset in range(size)})
