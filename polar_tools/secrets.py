"""Tokens that stand on a command line or in the environment: out of the list of processes, and out of whatever is said."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OPTIONS = ("--token", "--source-token", "--target-token")
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SHORTEST = 4
"""Letters that a secret has at least: what is shorter would be found in any text."""
NAMED = re.compile(r"(TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)", re.IGNORECASE)
"""How variables are called that hold secrets, by custom."""
NO_SECRETS = re.compile(r"(_ID|_PATH|_FILE|_DIR|_URL|_URI|_ENDPOINT|_NAME|_PROFILE)$", re.IGNORECASE)
"""How those of them end that only say where, or whose."""
LONG = 8
"""Characters of what counts as a secret for its variable's name alone: what is shorter stands in many files by chance."""
STORES = (
    *("~/.aws/credentials", "~/.netrc", "~/.pypirc", "~/.git-credentials", "~/.cache/huggingface/token"),
    *("~/.config/pip/pip.conf", "~/.pip/pip.conf", "~/.config/wandb/settings"),
)
"""Files of a person's in which tools keep secrets."""


def hide_from_process_list() -> None:
    """Overwrite the tokens in the title that every user of this machine can see."""
    if found := set(_on_command_line()):
        from setproctitle import setproctitle

        setproctitle(" ".join(_hidden(word, found) for word in sys.orig_argv))


def redacted(text: str) -> str:
    """`text` without any token that this process knows of."""
    return _hidden(text, {*_on_command_line(), *filter(None, (os.environ.get(name) for name in VARIABLES))})


def held() -> dict[str, str]:
    """The secrets that this process can reach: where each stands -> the secret itself, which is to be compared and never shown."""
    found = {f"the command line ({number})": value for number, value in enumerate(_on_command_line())}
    found |= {name: value for name, value in sorted(os.environ.items()) if NAMED.search(name) and not NO_SECRETS.search(name)}
    for store in STORES:
        file = Path(store).expanduser()
        if file.is_file():
            found |= {f"{store} ({number})": value for number, value in enumerate(_stored(file.read_text("utf-8", "replace")))}
    return {name: value for name, value in found.items() if len(value) >= LONG}


def _stored(text: str) -> Iterator[str]:
    """The secrets in a file of a tool's: what stands behind such a word, in a URL, or all by itself."""
    forms = (r"(?im)^\s*[\w.-]*(?:secret|token|passw)[\w.-]*\s*[=:]\s*(\S+)", r"\bpassword\s+(\S+)", r"://[^\s:/@]+:([^\s@/]+)@")
    yield from (found for form in forms for found in re.findall(form, text))
    if len(text.split()) == 1:
        yield text.strip()


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
