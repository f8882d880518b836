"""Write the same text in the same characters: Korean syllables that came as single jamo, full-width letters, control characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{feff}]"
"""Control characters but tab and line ends, and the byte order mark. Joiners are none: emoji and Indic scripts are written with them."""


class Options(base.Options):
    """What is changed; no row is dropped."""

    name: Literal["normalize"] = "normalize"
    columns: tuple[str, ...] = ()
    """Columns that are changed, at any depth of them; empty means all that hold text."""
    form: Literal["NFC", "NFKC"] = "NFC"
    """Unicode's form. NFC composes (jamo to syllables) and changes no meaning; NFKC also makes full-width letters plain, and `²` a 2."""
    control_characters: Literal["keep", "remove"] = "remove"
    """What becomes of control characters other than tabs and line ends, and of byte order marks."""
    whitespace: Literal["keep", "trim", "collapse"] = "keep"
    """`trim` takes it off both ends. `collapse` does that too, makes one space of several blanks, and leaves one empty line of several."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """All rows, with their texts normalized. A null stays one, and what becomes empty is for `missing` to drop."""
    for table in chunks:
        for column in base.text_columns(table, options.columns):
            table = base.rewritten(table, column, lambda text: _normalized(text, options))
        yield table


def _normalized(text: pa.ChunkedArray, options: Options) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if options.control_characters == "remove":
        text = pc.replace_substring_regex(text, CONTROL, "")
    text = pc.utf8_normalize(text, options.form)
    if options.whitespace == "collapse":
        text = pc.replace_substring_regex(text, r"\r\n?", "\n")
        text = pc.replace_substring_regex(text, r"[\p{Zs}\t]+", " ")
        text = pc.replace_substring_regex(text, r" ?\n ?", "\n")
        text = pc.replace_substring_regex(text, r"\n{3,}", "\n\n")
    return text if options.whitespace == "keep" else pc.utf8_trim_whitespace(text)
