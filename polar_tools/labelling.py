"""Texts -> token ids, and labels: which of them are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from polar_tools import templates
from polar_tools.errors import RowError
from polar_tools.marks import IGNORED, Example, backend, end_of_turn, marks
from polar_tools.templates import Dialogue, Text

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerBase

SHOWN = 20
"""Characters that a message shows on each side of a border."""
PIECE = 128
"""Dialogues that are written as text while the ones before them are tokenized."""


def dialogues(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Dialogue]) -> list[Example]:
    """Ids of each dialogue as the tokenizer's template writes it, and labels: those of its answers, through what ends each of them.

    Raises RowError where the template refuses a row, a token stands across the border of a prompt and its answer, or an answer has no
    end. Templates are Python's work and tokens that of the library's own threads, so both go on at the same time.
    """
    inner = backend(tokenizer)
    examples: list[Example] = []
    with ThreadPoolExecutor(1) as pool:
        pieces = []
        for start in range(0, len(rows), PIECE):
            with _counted_from(start):
                texts = templates.dialogues(tokenizer, rows[start : start + PIECE])
            pieces.append((start, texts, pool.submit(_encode, inner, [text.text for text in texts])))
        end = end_of_turn(tokenizer)
        for start, texts, waiting in pieces:
            with _counted_from(start):
                encodings = waiting.result()
                borders = _borders(inner, texts, encodings)
                examples += [_labelled(place, text, encodings[place], borders, end) for place, text in enumerate(texts)]
    return examples


def labelled(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Text]) -> list[Example]:
    """As `dialogues`, of dialogues that a template wrote already."""
    inner, end = backend(tokenizer), end_of_turn(tokenizer)
    encodings = _encode(inner, [row.text for row in rows])
    borders = _borders(inner, rows, encodings)
    return [_labelled(place, row, encodings[place], borders, end) for place, row in enumerate(rows)]


@contextmanager
def _counted_from(start: int) -> Iterator[None]:
    """Count the place of a RowError from the first of all rows, not of a piece of them."""
    try:
        yield
    except RowError as error:
        raise RowError(start + error.place, str(error)) from error


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
    tokens = (encoding.char_to_token(place) for place in range(char, length))
    return next((token for token in tokens if token is not None), len(encoding))


def continued(tokenizer: PreTrainedTokenizerBase, rows: Sequence[tuple[str, str]], ends: Sequence[int]) -> list[Example]:
    """Ids of prompts with their completions, as one text each, and labels: the completion and `ends`, which are put behind it.

    Raises RowError where a token stands across the border.
    """
    inner, opening = backend(tokenizer), list(marks(tokenizer).opening)
    texts = [Text(prompt + completion, [(len(prompt), len(prompt) + len(completion))]) for prompt, completion in rows]
    encodings = _encode(inner, [text.text for text in texts])
    examples = []
    for (place, _), start in _borders(inner, texts, encodings).items():
        ids = encodings[place].ids
        given, answer = [*opening, *ids[:start]], [*ids[start:], *ends]
        examples.append({"input_ids": given + answer, "labels": [IGNORED] * len(given) + answer})
    return examples


def asked(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Dialogue]) -> list[list[int]]:
    """Ids of each dialogue through what makes the model write its next turn."""
    return [encoding.ids for encoding in _encode(backend(tokenizer), templates.asked(tokenizer, rows))]


def plain(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], ends: Sequence[int]) -> list[Example]:
    """Ids of each text between what the tokenizer begins texts with and `ends`; all of them are trained on."""
    opening = list(marks(tokenizer).opening)
    encodings = backend(tokenizer).encode_batch_fast(texts, add_special_tokens=False)
    whole = [[*opening, *encoding.ids, *ends] for encoding in encodings]
    return [{"input_ids": ids, "labels": [*ids]} for ids in whole]


def _encode(inner: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    return inner.encode_batch(texts, add_special_tokens=False)


def _borders(inner: Tokenizer, texts: Sequence[Text], encodings: Sequence[Encoding]) -> dict[tuple[int, int], int]:
    """By row and character, the token with which each answer begins, and before which all stands as it would without the answer."""
    found = {(place, begin): _token_at(encodings[place], begin) for place, text in enumerate(texts) for begin, _ in text.answers}
    unsure = [key for key, token in found.items() if token is None]
    alone = _encode(inner, [texts[place].text[:begin] for place, begin in unsure])
    for (place, begin), prompt in zip(unsure, alone, strict=True):
        ids = encodings[place].ids
        if ids[: len(prompt)] != prompt.ids:
            raise RowError(place, _straddles(inner, texts[place].text, begin, ids, prompt.ids))
        found[place, begin] = len(prompt)
    return {key: token for key, token in found.items() if token is not None}


def _token_at(encoding: Encoding, char: int) -> int | None:
    """The token that begins at character `char`; None where one may stand across it: some tokenizers leave blanks out of the offsets."""
    if char == 0:
        return 0
    token = encoding.char_to_token(char)
    stands = None if token is None else encoding.token_to_chars(token)
    return token if stands is not None and stands[0] == char and encoding.char_to_token(char - 1) is not None else None


def _straddles(inner: Tokenizer, text: str, char: int, ids: list[int], prompt: list[int]) -> str:
    """What to say of the token that stands across the border at `char`: the first that is another than in the prompt alone."""
    same = next((place for place, (one, other) in enumerate(zip(ids, prompt, strict=False)) if one != other), min(len(ids), len(prompt)))
    token = inner.decode(ids[same : same + 1], skip_special_tokens=False)
    return (
        f"the token {token!r} stands across the border between prompt and answer, {text[max(0, char - SHOWN) : char]!r} and "
        f"{text[char : char + SHOWN]!r}: a model that is given the prompt sees other tokens than in training; "
        "take blanks away there, or move them from the prompt's end to the answer's beginning"
    )
