"""Messages that the pages quote are those that the code has: `> text with … for what differs`."""

import ast
import re
from functools import cache

import pytest

from tests.docs import pages
from tests.tiny import REPOSITORY

QUOTED = re.compile(r"^> (.+)$", re.MULTILINE)
QUOTING = ["docs/troubleshooting.md", "docs/troubleshooting.ko.md"]


@cache
def said() -> str:
    """Every text in the code, what is filled in left out."""
    found = []
    for path in sorted((REPOSITORY / "polar_tools").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def _parts(message: str) -> list[str]:
    return [part.strip(" .`") for part in message.split("…") if len(part.strip(" .`")) > 3]


@pytest.mark.parametrize("page", QUOTING)
def test_quoted_messages_are_the_codes_own(page: str) -> None:
    messages = QUOTED.findall(pages.text_of(page))
    assert len(messages) > 8
    strange = [part for message in messages for part in _parts(message) if part not in said()]
    assert not strange, f"{page} quotes what nobody says any more: {strange}"


def test_both_languages_quote_the_same() -> None:
    english, korean = (QUOTED.findall(pages.text_of(page)) for page in QUOTING)
    assert english == korean
