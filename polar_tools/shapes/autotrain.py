"""Preferences as AutoTrain names them: the better answer is `text`, the worse `rejected_text`, perhaps with a prompt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("text_rejected_text", "prompt_text_rejected_text")
BY_NAME_ONLY = False
ROLES = {"prompt": ("prompt",), "text": ("text",), "rejected_text": ("rejected_text",)}
OPTIONAL = ("prompt",)
KINDS = dict.fromkeys(ROLES, base.TEXT)
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """`chosen` and `rejected`, as preferences are called elsewhere, after the prompt where there is one."""
    used = fits(table.schema) or {}
    made = {"prompt": "prompt", "text": "chosen", "rejected_text": "rejected"}
    return base.remade(table, used, {made[role]: table[role] for role in used})
