"""Keep rows that are written in certain scripts, such as Hangul: certain even for a single word, where `language` guesses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa

Script = Literal[
    "Arabic", "Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek", "Gujarati", "Gurmukhi", "Han", "Hangul",
    "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao", "Latin", "Malayalam", "Mongolian", "Myanmar", "Sinhala", "Tamil",
    "Telugu", "Thai", "Tibetan",
]  # fmt: skip
"""Unicode's names of those in which most is written; RE2 knows them by these."""


class Options(base.Options):
    """The column, the scripts, and how much must be in them."""

    name: Literal["script"] = "script"
    column: str
    """Column that is looked at; of a list of messages all contents together."""
    keep: Annotated[tuple[Script, ...], Field(min_length=1)]
    """Scripts that count, by their Unicode names; all of a language's, as Han, Hiragana and Katakana for Japanese."""
    min_share: Annotated[PositiveFloat, Field(le=1)] = 0.5
    """Smallest share of the letters that must be of these scripts. Digits, punctuation and pictures are no letters."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The rows with enough of those letters; one with no letter at all goes. A null stays: `missing` drops it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ours = "".join(rf"\p{{{script}}}" for script in options.keep)
    for table in chunks:
        text = base.text_column(table, options.column)
        letters = pc.count_substring_regex(text, r"\p{L}")
        # A script has marks and signs of its own, which are no letters
        others = pc.count_substring_regex(pc.replace_substring_regex(text, f"[{ours}]", ""), r"\p{L}")
        share = pc.divide(pc.subtract(letters, others).cast(pa.float64()), pc.max_element_wise(letters, 1).cast(pa.float64()))
        enough = pc.greater_equal(share, options.min_share)
        yield table.filter(pc.or_(pc.is_null(text), pc.fill_null(enough, False)))
