"""A prompt and what follows it: questions and answers, instructions and responses, sources and targets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("question_answer", "instruction_response")
BY_NAME_ONLY = False
ROLES = {
    "prompt": ("prompt", "question", "query", "instruction", "input", "source", "src", "질문", "지시", "지시문", "입력"),
    "completion": ("completion", "answer", "response", "output", "target", "tgt", "답변", "대답", "응답", "출력"),
}
OPTIONAL = ()
KINDS = {"prompt": base.TEXT_OR_MESSAGES, "completion": base.TEXT_OR_MESSAGES}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """The same, with messages checked."""
    return base.with_messages(table, *ROLES)
