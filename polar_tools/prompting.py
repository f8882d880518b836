"""How a model is asked, in a few hashes: the chat template and the system prompt are part of what was trained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import IntegrityError
from polar_tools.records import read_json

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

FIELDS = ("system_prompt", "prompt_template", "source_prefix")
"""Fields of an experiment, of whichever method has them, that stand in every prompt; none where they are empty."""
TEMPLATE = "chat_template"


def of(config: Config, tokenizer: Path) -> dict[str, str]:
    """The sha256 of what goes into a prompt besides the row: the chat template in the folder `tokenizer`, and texts of `config`.

    Empty where nothing does. What dialogues are not written by, because `config` says so, doesn't count.
    """
    told = config.model_dump(include={*FIELDS, TEMPLATE})
    texts = {name: told.get(name) for name in FIELDS}
    if TEMPLATE in told:  # of a method whose rows may be dialogues
        texts[TEMPLATE] = None if told[TEMPLATE] == "none" else template(tokenizer)
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(texts.items()) if text}


def check(trained: Path, asked: dict[str, str]) -> None:
    """Raise IntegrityError where the model in `trained` was trained with other prompts than it is `asked` with.

    What its training recorded is compared; one of before this was recorded says nothing.
    """
    record = read_json(trained.parent / "record.json") or {}
    known: dict[str, str] | None = record.get("facts", {}).get("prompts")
    if known is None or known == asked:
        return
    differ = [name for name in sorted(known.keys() | asked.keys()) if known.get(name) != asked.get(name)]
    told = "; ".join(f"{name}: trained with {_short(known.get(name))}, asked with {_short(asked.get(name))}" for name in differ)
    raise IntegrityError(
        f"{trained} was trained with other prompts than it would be asked with, so its figures would mean nothing ({told}; by sha256). "
        "Give it the same ones, or train it again"
    )


def template(tokenizer: Path) -> str | None:
    """The chat template that was saved with a tokenizer."""
    file = tokenizer / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found: Any = (read_json(tokenizer / "tokenizer_config.json") or {}).get(TEMPLATE)
    return found if found is None or isinstance(found, str) else json.dumps(found, sort_keys=True)


def _short(known: str | None) -> str:
    return "none" if known is None else known[:12]
