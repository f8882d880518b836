"""The special tokens of a tokenizer, and what must be true of them in a text and in a row of tokens before a GPU sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from polar_tools import templates
from polar_tools.errors import ConfigError, DataError, RowError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label that torch's cross-entropy leaves out."""

Example = dict[str, list[Any]]
"""One rendered row: lists of numbers by column.

A column `input_ids` or `NAME_input_ids` is a sequence of token ids. `labels` or `NAME_labels` beside it, of the same length, are what is
trained on; -100 is not. All other columns are the trainer's alone.
"""
IDS, LABELS = "input_ids", "labels"
OPENING = "opening"
"""A column for whoever cuts a row to its limits, who takes it away: how many tokens the tokenizer begins texts with."""


class Tokens(NamedTuple):
    """One sequence of an example: `prefix` is that of its columns, such as `chosen_` or nothing; `labels` are None where it has no mask."""

    prefix: str
    ids: list[int]
    labels: list[int] | None


def sequences(example: Example) -> list[Tokens]:
    """The sequences of an example, in the order of its columns."""
    prefixes = [name.removesuffix(IDS) for name in example if name.endswith(IDS)]
    return [Tokens(prefix, example[prefix + IDS], example.get(prefix + LABELS)) for prefix in prefixes]


class Marks(NamedTuple):
    """The special tokens of a tokenizer, by id where nothing else is said."""

    opening: tuple[int, ...]
    """What it puts in front of every text: mostly nothing, or BOS."""
    opening_text: str
    """The same as text."""
    bos: int | None
    eos: int | None
    special: Mapping[int, str]
    pattern: re.Pattern[str]
    """Finds the text of a special token."""
    common: str
    """What the texts of all special tokens begin with."""


def marks(tokenizer: PreTrainedTokenizerBase) -> Marks:
    """The special tokens of `tokenizer` as it is now."""
    return _marks(tokenizer, tokenizer.eos_token)


@lru_cache(maxsize=4)
def _marks(tokenizer: PreTrainedTokenizerBase, eos: str | None) -> Marks:
    opening = _opening(tokenizer)
    added = {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = added | dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    texts = sorted(special.values(), key=lambda text: (-len(text), text))
    pattern = re.compile("|".join(map(re.escape, texts)) or r"(?!)")
    opening_text = "".join(tokenizer.convert_ids_to_tokens(list(opening)))
    return Marks(opening, opening_text, tokenizer.bos_token_id, tokenizer.eos_token_id, special, pattern, _common(texts))


def _common(texts: Sequence[str]) -> str:
    """What all of `texts` begin with."""
    pairs = zip(min(texts, default=""), max(texts, default=""), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _opening(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """What the tokenizer itself puts in front: the special tokens before the first that is of the text."""
    encoding = backend(tokenizer).encode("a")
    of_text = [place for place, sequence in enumerate(encoding.sequence_ids) if sequence is not None]
    return tuple(encoding.ids[: of_text[0]]) if of_text else ()


def set_template(choice: str, tokenizer: PreTrainedTokenizerBase, system_prompt: str | None) -> None:
    """As templates.install; what ends a chosen template's turns becomes the tokenizer's end-of-text token, at which generation stops."""
    templates.install(choice, tokenizer, marks(tokenizer).opening_text, system_prompt)
    if choice not in ("tokenizer", "none") and (end := end_of_turn(tokenizer)) != tokenizer.eos_token_id:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token with which the tokenizer's chat template closes what the assistant says, and at which generation is to stop.

    That is the end-of-text token where it stands behind an answer, otherwise the first special token there. Raises ConfigError
    where there is none.
    """
    return _end_of_turn(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=4)
def _end_of_turn(tokenizer: PreTrainedTokenizerBase, chat_template: str) -> int:
    found = marks(tokenizer)
    ids = backend(tokenizer).encode(templates.ending(tokenizer), add_special_tokens=False).ids
    if found.eos in ids:
        return int(found.eos)
    special = [number for number in ids if number in found.special]
    if not special:
        raise ConfigError(
            "the chat template closes the assistant's turn with no special token, so a trained model would not know where to stop; "
            "write `{{ eos_token }}` behind it"
        )
    return special[0]


def backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The `tokenizers` Tokenizer inside, which neither cuts nor pads from now on; raises ConfigError where there is none."""
    if not tokenizer.is_fast:
        raise ConfigError(f"{type(tokenizer).__name__} is not a tokenizer that knows where its tokens stand; a tokenizer.json is needed")
    inner: Tokenizer = tokenizer.backend_tokenizer
    if inner.truncation is not None:  # nothing may be set while another thread encodes
        inner.no_truncation()
    if inner.padding is not None:
        inner.no_padding()
    return inner


def refuse_special(tokenizer: PreTrainedTokenizerBase, rows: Iterable[Iterable[tuple[str, str]]]) -> None:
    """Raise RowError for the first row that holds the text of a special token, which would be taken for the token itself.

    `rows` are the (column, text) of each row.
    """
    found = marks(tokenizer)
    for place, contents in enumerate(rows):
        for column, content in contents:
            if found.common in content and (match := found.pattern.search(content)):
                expression = "".join(f"\\{char}" if char in r"\.^$*+?{}[]|()" else char for char in match[0])
                raise RowError(
                    place,
                    f"its `{column}` holds the text of the special token `{match[0]}`, which would end or begin something in the middle of "
                    f"it; drop such rows with the filter {{name: pattern, column: {column}, drop: '{expression}'}}",
                )


def check(found: Marks, example: Example, end: int | None, beginnings: int, prompted: bool, cut: str | None) -> None:
    """Raise DataError for an example that begins, ends or is masked as none should be.

    `end` is the last token that is trained on; BOS may stand `beginnings` times; `prompted` says that not everything is trained on;
    `cut` is the side on which the row may have been cut, `cut_left` or `cut_right`, where it needn't begin or end as others do.
    """
    ids, labels = example["input_ids"], example["labels"]
    ignored = labels.count(IGNORED)
    if ignored == len(labels):
        raise DataError("no token of it would be trained on; is max_length too short for its answer?")
    if prompted and not ignored:
        raise DataError("all of it would be trained on, for it has no prompt, or max_length is too short for it")
    check_beginning(found, ids, beginnings, cut == "cut_left")
    last = labels[-1] if labels[-1] != IGNORED else next(label for label in reversed(labels) if label != IGNORED)
    if end is not None and last != end and cut != "cut_right":
        raise DataError("what is trained on doesn't end with the token at which generation stops")


def check_beginning(found: Marks, ids: list[int], beginnings: int, cut: bool) -> None:
    """Raise DataError for ids that don't begin as this tokenizer begins texts, or do so more often than `beginnings` times."""
    opening, size = [*found.opening], len(found.opening)
    if opening and not cut and ids[:size] != opening:
        raise DataError(
            f"doesn't begin with `{found.opening_text}`, with which this tokenizer begins every text; "
            "let the chat template write it first, as {{ bos_token }}"
        )
    # Where BOS is EOS too it stands at ends as well; where the tokenizer doesn't begin texts with it, templates use it as they like.
    counted = found.bos is not None and found.bos in opening and found.bos != found.eos
    twice = bool(opening) and ids[size : 2 * size] == opening
    if twice or (found.bos is not None and ids[:2] == [found.bos] * 2) or (counted and ids.count(opening[-1]) > beginnings):
        name = found.special[found.bos] if found.bos is not None else found.opening_text
        raise DataError(f"`{name}` stands in it more than once, so something writes it that need not: the template, or the text itself")
