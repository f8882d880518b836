"""Texts as units (words or characters) and n-grams of them, and where in a text each unit stands."""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    Array = Any  # of numpy

FACTOR = 0x9E3779B97F4A7C15
"""An odd number whose powers mix hashes, so that the order of the units counts."""
SPACELESS = r"(\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Thai}|\p{Lao}|\p{Khmer}|\p{Myanmar}|\p{Tibetan})"
"""Scripts without spaces between words."""
SYLLABLES = SPACELESS.replace(")", r"|\p{Hangul})")
"""These and Korean, whose words carry their particles with them."""
CHARACTERS = "([^ ])"
JOINS = re.compile("[\u1160-\u11ff\u3131-\u318e\ud7b0-\ud7fb\uff9e\uff9f\uffa0-\uffdc]")
"""Letters that may join the one before them although they are no marks: Korean ones of any form, voiced sounds of half-width kana."""


def units(texts: Sequence[pa.Array], single: str | None) -> pa.ListArray:
    """The units of every row of texts, which are joined in their order; null where there is none.

    Words, and single characters where the expression `single` (RE2, one group) says so. Case, punctuation, white space and what NFKC
    makes the same don't count.
    """
    import pyarrow.compute as pc

    joined = pc.binary_join_element_wise(*(pc.fill_null(text, "") for text in texts), " ")
    text = pc.ascii_trim_whitespace(_plain(joined, single))
    return pc.ascii_split_whitespace(pc.if_else(pc.equal(text, ""), None, text))


class Locator:
    """Finds in a text as it stands the units that `units` makes of it."""

    def __init__(self, single: str | None) -> None:
        self._single = single
        self._known: dict[str, str] = {}

    def units(self, text: str) -> list[tuple[str, int, int]]:
        """Every unit, with where it begins and ends, in characters of `text`."""
        clusters = list(_clusters(text))
        self._learn(set(clusters) - self._known.keys())
        pieces = [self._known[cluster] for cluster in clusters]
        begins, ends = [0, *accumulate(map(len, clusters))], list(accumulate(map(len, pieces)))

        def cluster(place: int) -> int:
            return bisect.bisect_right(ends, place)

        found = re.finditer("[^ ]+", "".join(pieces))
        return [(one.group(), begins[cluster(one.start())], begins[cluster(one.end() - 1) + 1]) for one in found]

    def _learn(self, clusters: set[str]) -> None:
        import pyarrow as pa

        if clusters:
            self._known |= zip(clusters, _plain(pa.array(clusters, pa.string()), self._single).to_pylist(), strict=True)


class Rolling:
    """Hashes of all windows of a row of hashes (uint64): as `mixed` makes them, at a cost that doesn't grow with a window's size.

    Each hash is divided by its own power of FACTOR modulo 2**64 and summed up, so that a window is the difference of two sums.
    """

    def __init__(self, hashes: Array) -> None:
        import numpy as np

        self._powers = np.cumprod(np.r_[np.uint64(1), np.full(len(hashes), FACTOR, np.uint64)])
        inverse = np.cumprod(np.r_[np.uint64(1), np.full(len(hashes), pow(FACTOR, -1, 2**64), np.uint64)])
        self._sums = np.r_[np.uint64(0), np.cumsum(hashes * inverse[:-1])]

    def windows(self, size: int) -> Array:
        """One hash of each `size` neighbours."""
        return (self._sums[size:] - self._sums[:-size]) * self._powers[size - 1 : -1]


def mixed(hashes: Array) -> Array:
    """One hash of those along the last axis."""
    import numpy as np

    made = np.zeros(hashes.shape[:-1], np.uint64)
    for number in range(hashes.shape[-1]):
        made = made * np.uint64(FACTOR) + hashes[..., number]
    return made


def places(room: Array, counts: Array) -> Array:
    """The places of so many members of each row, where each row has so much room."""
    import numpy as np

    return np.arange(counts.sum()) + np.repeat(np.cumsum(room) - room - np.cumsum(counts) + counts, counts)


def _plain(text: pa.Array, single: str | None) -> pa.Array:
    """`text` in lower case with single spaces for all that is no unit, and around what is one by itself."""
    import pyarrow.compute as pc

    text = pc.replace_substring_regex(pc.utf8_lower(pc.utf8_normalize(text, "NFKC")), r"[^\p{L}\p{M}\p{N}]+", " ")
    return text if single is None else pc.replace_substring_regex(text, single, r" \1 ")


def _clusters(text: str) -> Iterator[str]:
    """`text` in pieces that NFKC changes one by one as it changes the whole: each character with the marks that join it."""
    start = 0
    for place in range(1, len(text)):
        joins = unicodedata.category(text[place]).startswith("M") or JOINS.match(text[place])
        if not joins or text[place - 1].isspace():
            yield text[start:place]
            start = place
    if text:
        yield text[start:]
