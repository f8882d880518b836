"""Tokens that stand on a command line or in the environment: out of the list of processes, and out of whatever is said."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

OPTIONS = ("--token", "--source-token", "--target-token")
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SHORTEST, SHORTEST_FOUND = 4, 8
"""Letters that a secret has at least, and one that is only taken for such by its name: what is shorter would be found in any text."""
ENDS = "PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|ACCESS_KEY|ACCESS_KEY_ID|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?"
VARIABLE = re.compile(rf"(?:^|_)(?:TOKEN|{ENDS})$", re.IGNORECASE)
"""Names in the environment whose values are secrets."""
FIELD = re.compile(
    rf"(?:^|_)(?:{ENDS})$|^(?:.*_)?(?:hub|hf|face|huggingface|auth|access|api|bearer|refresh|session)_token$|^token$", re.IGNORECASE
)
"""Names of fields whose values are secrets; `pad_token` and its like are none."""
ADDRESS = re.compile(r"(?<=://)[^/\s@:\"'<>]*:[^/\s@\"'<>]+(?=@)|(?<=https://)[^/\s@\"'<>]+(?=@)|(?<=http://)[^/\s@\"'<>]+(?=@)")
"""Who somebody is, with or without a password, in an address."""
STORES = (
    *("~/.aws/credentials", "~/.netrc", "~/.pypirc", "~/.git-credentials", "~/.cache/huggingface/token"),
    *("~/.config/pip/pip.conf", "~/.pip/pip.conf", "~/.config/wandb/settings"),
)
"""Files of a person's in which tools keep secrets."""
_learnt: set[str] = set()


def hide_from_process_list() -> None:
    """Overwrite the tokens in the title that every user of this machine can see."""
    if found := set(_on_command_line()):
        from setproctitle import setproctitle

        setproctitle(" ".join(_hidden(word, found) for word in sys.orig_argv))


def redacted(text: str) -> str:
    """`text` without any token that this process knows of, and without names and passwords in addresses."""
    known = {*_on_command_line(), *_learnt, *filter(None, (os.environ.get(name) for name in VARIABLES))}
    return ADDRESS.sub("***", _hidden(text, known | set(_named().values())))


def _named() -> dict[str, str]:
    """The variables of the environment that are named as secrets are."""
    return {name: value for name, value in sorted(os.environ.items()) if VARIABLE.search(name) and len(value) >= SHORTEST_FOUND}


def read(file: Path) -> str:
    """The token in a file, which this process knows from then on."""
    token = file.read_text(encoding="utf-8").strip()
    _learnt.add(token)
    return token


def learn(data: Any) -> None:
    """Know from now on what stands, at any depth of `data`, in fields that are named as secrets are."""
    _learnt.update(value for _, value in fields(data))


def fields(data: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Path and value of each field of `data`, at any depth, that is named as secrets are."""
    parts = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    for name, value in parts:
        path = f"{place}.{name}" if place else str(name)
        if isinstance(value, str) and len(value) >= SHORTEST_FOUND and FIELD.search(str(name)):
            yield path, value
        yield from fields(value, path)


def held() -> dict[str, str]:
    """The secrets that this process can reach: where each stands -> the secret itself, which is to be compared and never shown."""
    found = {f"the command line ({number})": value for number, value in enumerate(_on_command_line())}
    found |= _named()
    for store in STORES:
        file = Path(store).expanduser()
        if file.is_file():
            found |= {f"{store} ({number})": value for number, value in enumerate(_stored(file.read_text("utf-8", "replace")))}
    return {name: value for name, value in found.items() if len(value) >= SHORTEST_FOUND}


def _stored(text: str) -> Iterator[str]:
    """The secrets in a file of a tool's: what stands behind such a word, in a URL, or all by itself."""
    forms = (r"(?im)^\s*[\w.-]*(?:secret|token|passw)[\w.-]*\s*[=:]\s*(\S+)", r"\bpassword\s+(\S+)", r"://[^\s:/@]+:([^\s@/]+)@")
    yield from (found for form in forms for found in re.findall(form, text))
    if len(text.split()) == 1:
        yield text.strip()


def _on_command_line() -> Iterator[str]:
    for word, following in pairwise([*sys.argv[1:], ""]):
        option, equals, value = word.partition("=")
        field = option.lstrip("-").replace("-", "_").rpartition(".")[2]
        if option in OPTIONS or (option.startswith("--") and FIELD.search(field)):
            yield value if equals else following


def _hidden(text: str, found: set[str]) -> str:
    for secret in sorted(found, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "***")
    return text
