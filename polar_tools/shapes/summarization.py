"""A document and its summary."""

from __future__ import annotations

from functools import partial

from polar_tools.shapes import base

ALIASES = ("summarisation", "document_summary")
BY_NAME_ONLY = False
ROLES = {
    "document": ("document", "article", "text", "dialogue", "passage", "content", "문서", "원문", "본문", "기사", "내용"),
    "summary": ("summary", "highlights", "abstract", "요약", "요약문"),
}
OPTIONAL = ()
KINDS = dict.fromkeys(ROLES, base.TEXT)
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)
convert = base.unchanged
