"""The published tokenizer writes what the model was trained on, also after it was loaded and saved."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from polar_tools.errors import first_line
from polar_tools.gates import base

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Publication

TITLE = "tokenizer and chat template give what the model was trained with, also once they are loaded and saved"
MEANS = "whoever loads the model would send it other tokens than it knows: look which of its files differs from the stage tokenize's"
WAIVABLE = True
OF_FINISHED = True
TEXTS = ("Hello, world.", "  two  spaces\nand a line ", "안녕하세요? 한국어 문장입니다.", "naïve café №5 — 3.14 €", "😀👩‍👩‍👧 e\u0301", "")
TALK = ({"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "안녕!"}, {"role": "user", "content": "Bye."})


def check(parcel: Publication) -> base.Outcome:
    """Ids of texts in several scripts and a conversation, by the tokenizer of the tokens, by the published one, and by that once saved."""
    if parcel.training is None:
        return base.not_applicable("this is no model")
    with tempfile.TemporaryDirectory(prefix="polar-tools-") as scratch:
        try:
            known, published = _loaded(parcel.training.tokenizer), _loaded(str(parcel.folder))
            published.save_pretrained(scratch)
            again = _loaded(scratch)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            return base.Outcome("failed", f"it can't be loaded: {first_line(error)}")
    wanted = _written(known)
    problems = [
        f"{whose} {what} differs" for whose, one in (("the published", published), ("the saved", again)) for what in _differing(wanted, one)
    ]
    return base.judged(problems, f"{len(TEXTS)} texts{'' if known.chat_template is None else ' and a conversation'} give the same")


def _loaded(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _differing(wanted: dict[str, Any], tokenizer: Any) -> list[str]:
    found = _written(tokenizer)
    return [what for what in wanted if found[what] != wanted[what]]


def _written(tokenizer: Any) -> dict[str, Any]:
    """What it makes of the texts and of the conversation."""
    ids = {f"tokenization of {text!r}": tokenizer(text)["input_ids"] for text in TEXTS}
    special = {name: getattr(tokenizer, name) for name in ("eos_token", "pad_token")}
    return {**ids, **special, "vocabulary": tokenizer.get_vocab(), "chat template": _talk(tokenizer)}


def _talk(tokenizer: Any) -> str | None:
    """The conversation as the template writes it; its complaint where it takes no such."""
    if tokenizer.chat_template is None:
        return None
    try:
        return str(tokenizer.apply_chat_template(list(TALK), tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template may refuse what it likes
        return first_line(error)
