"""Tokens that stand on a command line or in the environment: out of the list of processes, and out of whatever is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

OPTIONS = ("--token", "--source-token", "--target-token")
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SHORTEST = 4
"""Letters that a secret has at least: what is shorter would be found in any text."""


def hide_from_process_list() -> None:
    """Overwrite the tokens in the title that every user of this machine can see."""
    if found := set(_on_command_line()):
        from setproctitle import setproctitle

        setproctitle(" ".join(_hidden(word, found) for word in sys.orig_argv))


def redacted(text: str) -> str:
    """`text` without any token that this process knows of."""
    return _hidden(text, {*_on_command_line(), *filter(None, (os.environ.get(name) for name in VARIABLES))})


def _on_command_line() -> Iterator[str]:
    words = sys.argv[1:]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in OPTIONS:
            yield value if equals else following


def _hidden(text: str, found: set[str]) -> str:
    for secret in sorted(found, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "***")
    return text
