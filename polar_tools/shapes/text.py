"""Plain text, for language modelling."""

from __future__ import annotations

from functools import partial

from polar_tools.shapes import base

ALIASES = ("plain_text",)
BY_NAME_ONLY = False
ROLES = {"text": ("text", "content", "document", "sentence", "텍스트", "본문", "내용", "문장")}
OPTIONAL = ()
KINDS = {"text": base.TEXT}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)
convert = base.unchanged
