"""Dialogues as OpenAI writes them: lists of messages with role and content (text, or parts of text and images), and tools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("openai", "chatml")
BY_NAME_ONLY = False
ROLES = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "대화"),
    "tools": ("tools", "functions"),
}
OPTIONAL = ("tools",)
KINDS = {"messages": base.MESSAGES, "tools": base.ANYTHING}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """The same, with messages checked."""
    return base.with_messages(table, "messages")
