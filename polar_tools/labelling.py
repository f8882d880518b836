"""Texts -> token ids, and which of them are trained on; and what must be true of both before a GPU sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from polar_tools import templates
from polar_tools.errors import ConfigError, DataError, RowError
from polar_tools.templates import Text

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label that torch's cross-entropy leaves out."""
SHOWN = 20
"""Characters that a message shows on each side of a border."""

Example = dict[str, list[int]]


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
    inner.no_truncation()
    inner.no_padding()
    return inner


def label(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], end: int) -> list[Example]:
    """Ids of each text, and labels: those of its answers, each from its first character through its last `end`.

    Raises RowError where a token stands across the border of a prompt and its answer, or an answer has no `end`.
    """
    inner = backend(tokenizer)
    encodings = inner.encode_batch([text.text for text in texts], add_special_tokens=False)
    borders = _borders(inner, texts, encodings)
    return [_labelled(place, text, encodings[place], borders, end) for place, text in enumerate(texts)]


def _labelled(place: int, text: Text, encoding: Encoding, borders: Mapping[tuple[int, int], int], end: int) -> Example:
    ids = encoding.ids
    labels = [IGNORED] * len(ids)
    for begin, until in text.answers:
        start = borders[place, begin]
        stop = _behind_last(ids, end, start, _token_from(encoding, until, len(text.text)))
        if stop is None:
            raise RowError(place, "the chat template doesn't close every turn of the assistant as it closes that of a small dialogue")
        labels[start:stop] = ids[start:stop]
    return {"input_ids": ids, "labels": labels}


def _behind_last(ids: list[int], end: int, start: int, stop: int) -> int | None:
    """Behind the last `end` of a turn: templates add a line break that nobody generates."""
    while stop > start:
        if ids[stop - 1] == end:
            return stop
        stop -= 1
    return None


def _token_from(encoding: Encoding, char: int, length: int) -> int:
    """The first token at character `char` or behind it."""
    for place in range(char, length):
        token = encoding.char_to_token(place)
        if token is not None:
            return token
    return len(encoding.ids)


def continued(tokenizer: PreTrainedTokenizerBase, rows: Sequence[tuple[str, str]], ends: Sequence[int]) -> list[Example]:
    """Ids of prompts with their completions, as one text each, and labels: the completion and `ends`, which are put behind it.

    Raises RowError where a token stands across the border.
    """
    inner, opening = backend(tokenizer), list(marks(tokenizer).opening)
    texts = [Text(prompt + completion, [(len(prompt), len(prompt) + len(completion))]) for prompt, completion in rows]
    encodings = inner.encode_batch([text.text for text in texts], add_special_tokens=False)
    borders = _borders(inner, texts, encodings)
    examples = []
    for place, text in enumerate(texts):
        ids, start = encodings[place].ids, borders[place, text.answers[0][0]]
        answer = [*ids[start:], *ends]
        examples.append(
            {"input_ids": [*opening, *ids[:start], *answer], "labels": [IGNORED] * (len(opening) + start) + answer},
        )
    return examples


def plain(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], ends: Sequence[int]) -> list[Example]:
    """Ids of each text between what the tokenizer begins texts with and `ends`; all of them are trained on."""
    opening = list(marks(tokenizer).opening)
    encodings = backend(tokenizer).encode_batch_fast(texts, add_special_tokens=False)
    whole = [[*opening, *encoding.ids, *ends] for encoding in encodings]
    return [{"input_ids": ids, "labels": [*ids]} for ids in whole]


def _borders(inner: Tokenizer, texts: Sequence[Text], encodings: Sequence[Encoding]) -> dict[tuple[int, int], int]:
    """By row and character, the token with which each answer begins, and before which all stands as it would without the answer."""
    borders: dict[tuple[int, int], int] = {}
    unsure: list[tuple[int, int]] = []
    for place, (text, encoding) in enumerate(zip(texts, encodings, strict=True)):
        for begin, _ in text.answers:
            token = _sure(encoding, begin)
            if token is None:
                unsure.append((place, begin))
            else:
                borders[place, begin] = token
    alone = inner.encode_batch_fast([texts[place].text[:begin] for place, begin in unsure], add_special_tokens=False)
    for (place, begin), prompt in zip(unsure, alone, strict=True):
        ids = prompt.ids
        if encodings[place].ids[: len(ids)] != ids:
            raise RowError(place, _straddles(inner, texts[place].text, begin, encodings[place].ids, ids))
        borders[place, begin] = len(ids)
    return borders


def _sure(encoding: Encoding, char: int) -> int | None:
    """The token that begins at character `char`; None where offsets don't say, for some tokenizers leave blanks out of them."""
    if char == 0:
        return 0
    token = encoding.char_to_token(char)
    stands = None if token is None else encoding.token_to_chars(token)
    if stands is None or stands[0] != char or encoding.char_to_token(char - 1) is None:
        return None
    return token


def _straddles(inner: Tokenizer, text: str, char: int, ids: list[int], prompt: list[int]) -> str:
    """What to say of the token that stands across the border at `char`: the first that is another than in the prompt alone."""
    same = next((place for place, (one, other) in enumerate(zip(ids, prompt, strict=False)) if one != other), min(len(ids), len(prompt)))
    token = inner.decode(ids[same : same + 1], skip_special_tokens=False)
    return (
        f"the token {token!r} stands across the border between prompt and answer, {text[max(0, char - SHOWN) : char]!r} and "
        f"{text[char : char + SHOWN]!r}: a model that is given the prompt sees other tokens than in training; "
        "move what separates the two, such as a blank, from the prompt's end to the answer's beginning"
    )


def refuse_special(tokenizer: PreTrainedTokenizerBase, rows: Iterable[Iterable[str]]) -> None:
    """Raise RowError for the first row whose contents hold the text of a special token, which would be taken for the token itself."""
    found = marks(tokenizer)
    for place, contents in enumerate(rows):
        for content in contents:
            if found.common in content and (match := found.pattern.search(content)):
                expression = "".join(f"\\{char}" if char in r"\.^$*+?{}[]|()" else char for char in match[0])
                raise RowError(
                    place,
                    f"holds the text of the special token `{match[0]}`, which would end or begin something in the middle of it; "
                    f"drop such rows with the filter {{name: pattern, column: ..., drop: '{expression}'}}",
                )


def check(tokenizer: PreTrainedTokenizerBase, example: Example, end: int | None, beginnings: int, prompted: bool, cut: str | None) -> None:
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
    _check_beginning(marks(tokenizer), ids, beginnings, cut == "cut_left")
    last = labels[-1] if labels[-1] != IGNORED else next(label for label in reversed(labels) if label != IGNORED)
    if end is not None and last != end and cut != "cut_right":
        raise DataError("what is trained on doesn't end with the token at which generation stops")


def _check_beginning(found: Marks, ids: list[int], beginnings: int, cut: bool) -> None:
    opening, size = list(found.opening), len(found.opening)
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
