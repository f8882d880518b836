"""A text, one that belongs to it and one that doesn't, for embeddings; names are those of sentence-transformers."""

from __future__ import annotations

from functools import partial

from polar_tools.shapes import base, pairs

ALIASES = ("triplet",)
BY_NAME_ONLY = False
ROLES = {**pairs.ROLES, "negative": ("negative", "neg", "negative_passage", "hard_negative")}
OPTIONAL = ()
KINDS = dict.fromkeys(ROLES, base.TEXT)
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)
convert = base.unchanged
