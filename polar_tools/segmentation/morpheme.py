"""Korean words taken apart into stems, particles and endings, by kiwipiepy; words of other scripts stay whole.

So `학교에` and `학교는` have `학교` in common, as an English reader would expect of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from polar_tools.errors import ConfigError
from polar_tools.segmentation import base

ALIASES = ("kiwi",)
LIBRARIES = ("kiwipiepy", "kiwipiepy_model")


def tokens(texts: Sequence[str]) -> list[base.Tokens]:
    """The morphemes of each text, without punctuation and symbols."""
    found = _analyser().tokenize([base.plain(text) for text in texts])
    return [[morpheme.form for morpheme in text if base.has_words(morpheme.form)] for text in found]


@cache
def _analyser() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise ConfigError("the tokenizer `morpheme` needs kiwipiepy: pip install 'polar-tools[korean]'") from error
    return Kiwi(num_workers=1)
