"""Dialogues as ShareGPT writes them: lists of turns with `from` and `value`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("vicuna",)
BY_NAME_ONLY = False
ROLES = {
    "conversations": ("conversations", "conversation", "messages", "dialogue", "dialog", "chat", "turns", "대화"),
    "system": ("system", "system_prompt"),
    "tools": ("tools", "functions"),
}
OPTIONAL = ("system", "tools")
KINDS = {
    "conversations": base.Kind("a list of turns with `from` and `value`", lambda kind: base.is_turns(kind, "from", "value")),
    "system": base.TEXT,
    "tools": base.ANYTHING,
}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """Messages; what stands in `system` is their first, unless the dialogue has one of its own."""
    used = [role for role in ("conversations", "system") if role in (fits(table.schema) or ())]
    messages = base.messages(table, "conversations", "from", "value")
    if "system" in used:
        messages = _opened(messages, table["system"])
    return base.remade(table, used, {"messages": messages})


def _opened(messages: pa.Array, systems: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    def opened(turns: list[dict[str, Any]] | None, system: str | None) -> list[dict[str, Any]] | None:
        return [{"role": "system", "content": system}, *turns] if system and turns and turns[0]["role"] != "system" else turns

    pairs = zip(messages.to_pylist(), systems.to_pylist(), strict=True)
    return pa.array([opened(turns, system) for turns, system in pairs], messages.type)
