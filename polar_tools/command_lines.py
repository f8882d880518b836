"""Words as they stand on a command line: options with values, and values that read as numbers, true or false."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from polar_tools.errors import UserError

ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*)$")
"""What a line of an environment file, or of a shell script, has that gives a name a value."""


def options(words: Sequence[str]) -> dict[str, Any]:
    """`--name value`, `--name=value`, `--name` alone (true), `--no-name` as it stands; several values become a list."""
    found: dict[str, Any] = {}
    name = None
    for word in words:
        if re.match(r"^--?[A-Za-z]", word):
            name, equals, value = word.lstrip("-").partition("=")
            found[name] = scalar(value) if equals else True
            name = None if equals else name
        elif name is None:
            raise UserError("a word stands before all options, and belongs to none; write --NAME VALUE")
        else:
            before = found[name]
            found[name] = scalar(word) if before is True else [*(before if isinstance(before, list) else [before]), scalar(word)]
    return found


def scalar(text: str) -> Any:
    """A value of a command line or an environment file: a number, true, false or null where it reads as one, else text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text in ("", "None", "none", "null"):
        return None if text != "none" else text
    for kind in (int, float) if "_" not in text else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def words_of(text: str, place: str) -> list[str]:
    """The words of a line of a shell, without its comment; raises UserError, which names the place, for a quote that doesn't end."""
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise UserError(f"{place}: {str(error).lower()}; quotes come in pairs") from None
