"""Dialogues written out in one text, as "human: ... bot: ...", which become messages where that is asked for."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("human_bot", "transcript")
BY_NAME_ONLY = True
ROLES = {"dialogue": ("dialogue", "dialog", "conversation", "text", "content", "대화", "텍스트", "본문")}
OPTIONAL = ()
KINDS = {"dialogue": base.TEXT}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)

MARKS = ("human", "user", "prompter", "assistant", "chatbot", "bot", "chatgpt", "gpt", "system", "사용자", "사람", "챗봇", "봇", "시스템")
"""Words that say who speaks; all of them are known to base.SPEAKERS. Words that stand before a colon elsewhere too are not among them."""
MARK = re.compile(rf"(?:^|\s|(?=#))(?:#{{2,}}\s*)?[<\[]?({'|'.join(MARKS)})[>\]]?\s*[:\uff1a]", re.IGNORECASE)
"""A mark at the beginning or after a space: `human:`, `<human>:`, `### Human:`."""


def convert(table: pa.Table) -> pa.Table:
    """Messages; raises DataError for a text that doesn't begin with who speaks."""
    import pyarrow as pa

    kind = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    turns = [_turns(table, place, text) for place, text in enumerate(table["dialogue"].to_pylist())]
    return base.remade(table, ROLES, {"messages": pa.array(turns, kind)})


def _turns(table: pa.Table, place: int, text: str | None) -> list[dict[str, str]] | None:
    """The turns of one text. Neighbours of one speaker stay two turns: it is not ours to join them."""
    if text is None or not text.strip():
        return None
    before, *pieces = MARK.split(text)
    if before.strip() or not pieces:
        start = " ".join(text.split())[:40]
        raise base.fault(table, place, f"`{start}` doesn't begin with who speaks, such as `human:` or `bot:`; mend or drop the row")
    return [
        {"role": base.SPEAKERS[speaker.lower()], "content": content.strip()}
        for speaker, content in zip(pieces[::2], pieces[1::2], strict=True)
    ]
