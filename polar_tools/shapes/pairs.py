"""Pairs of texts that belong together, for embeddings; names are those of sentence-transformers."""

from __future__ import annotations

from functools import partial

from polar_tools.shapes import base

ALIASES = ("pair",)
BY_NAME_ONLY = False
ROLES = {"anchor": ("anchor", "query", "질의"), "positive": ("positive", "pos", "positive_passage", "passage")}
OPTIONAL = ()
KINDS = dict.fromkeys(ROLES, base.TEXT)
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)
convert = base.unchanged
