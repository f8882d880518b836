"""Two answers, one of them preferred: texts or messages, after a prompt or with it in both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("dpo", "pairwise")
BY_NAME_ONLY = False
ROLES = {
    "prompt": ("prompt", "question", "query", "instruction", "input", "질문", "지시", "지시문"),
    "chosen": ("chosen", "chosen_response", "preferred", "accepted"),
    "rejected": ("rejected", "rejected_response", "dispreferred", "non_preferred"),
}
OPTIONAL = ("prompt",)
KINDS = dict.fromkeys(ROLES, base.TEXT_OR_MESSAGES)
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """The same, with messages checked."""
    return base.with_messages(table, *ROLES)
