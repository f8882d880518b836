"""Keep rows whose text is neither too short nor too long.

In characters and in words. Tokens are the tokenize stage's: what is prepared here serves models with different tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeInt, model_validator

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """The column and at least one bound; a text of exactly that length stays."""

    name: Literal["length"] = "length"
    column: str
    """Column that is measured; of a list of messages all contents together, with a line end between two."""
    min_characters: NonNegativeInt | None = None
    """Fewest characters, counted as unicode code points: a Korean syllable is one (three where it isn't composed: see `normalize`)."""
    max_characters: NonNegativeInt | None = None
    """Most characters."""
    min_words: NonNegativeInt | None = None
    """Fewest words: what stands between white space."""
    max_words: NonNegativeInt | None = None
    """Most words."""

    @model_validator(mode="after")
    def _bounds_bound_something(self) -> Options:
        pairs = ((self.min_characters, self.max_characters), (self.min_words, self.max_words))
        if all(bound is None for pair in pairs for bound in pair):
            raise ValueError("give at least one of `min_characters`, `max_characters`, `min_words` and `max_words`")
        if any(low is not None and high is not None and low > high for low, high in pairs):
            raise ValueError("no row would stay: a minimum is above its maximum")
        return self


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The rows within all bounds. A null has no length and stays: `missing` drops it."""
    import pyarrow.compute as pc

    limits = (pc.utf8_length, options.min_characters, options.max_characters), (_words, options.min_words, options.max_words)
    for table in chunks:
        for measure, low, high in limits:
            if low is not None or high is not None:
                lengths = measure(base.text_column(table, options.column))
                enough = pc.greater_equal(lengths, low or 0)
                table = table.filter(pc.fill_null(enough if high is None else pc.and_(enough, pc.less_equal(lengths, high)), True))
        yield table


def _words(text: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.count_substring_regex(text, r"[^\p{Z}\s]+")  # RE2's \s knows white space of ASCII only
