"""The loss-mask X-ray: rows token by token as people read them, and which tokens are trained on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polar_tools.marks import IDS, IGNORED, Example, Tokens, marks, sequences

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TRAINED, READ, CUT = "trained", "read", "cut"
"""States of a token: trained on, read only, cut off or dropped with its row."""
MOST = 8
"""Tokens of a character at most: UTF-8 needs four bytes, and a mark may be joined to it."""
WHOLE, MARGIN, ENDS, BORDERS = 700, 40, 160, 8
"""Tokens of a row that is shown whole; of a longer one, those around its first borders between states, and those at its ends."""
PART = "▒"
"""Stands for a token that is a part of a character whose other parts lie elsewhere."""
UNSEEN = {" ": "·", "\n": "↵", "\t": "→", "\r": "␍"}


@dataclass(frozen=True)
class Piece:
    """What is shown as one: a token, or several that together are one character."""

    parts: tuple[tuple[str, str], ...]
    """Texts, and of each its kind: "text", "blank" (a mark for what can't be seen) or "break" (such a mark, at the end of a line)."""
    state: str
    special: bool
    tokens: int
    title: str
    """Places, ids, and how the vocabulary writes them."""


@dataclass(frozen=True)
class Part:
    """One sequence of a row. A number in `pieces` says how many tokens are left out there."""

    name: str
    pieces: tuple[Piece | int, ...]
    counts: Counter[str]


@dataclass(frozen=True)
class Row:
    """A row under the X-ray."""

    number: int
    reasons: tuple[str, ...]
    parts: tuple[Part, ...]


def row(
    tokenizer: PreTrainedTokenizerBase,
    number: int,
    reasons: Sequence[str],
    rendered: Example,
    kept: Example | None,
) -> Row:
    """Row `number` (from 0) as it was rendered, and what was `kept` of it."""
    parts = tuple(_part(tokenizer, whole, rest) for whole, rest in _both(rendered, kept))
    return Row(number, tuple(reasons), parts)


def _both(rendered: Example, kept: Example | None) -> Iterator[tuple[Tokens, list[int]]]:
    """The sequences of a row, each with the ids that are kept of it."""
    for whole in sequences(rendered):
        yield whole, [] if kept is None else kept[whole.prefix + IDS]


def _part(tokenizer: PreTrainedTokenizerBase, whole: Tokens, kept: list[int]) -> Part:
    states = _states(whole, kept)
    ids, special = whole.ids, set(marks(tokenizer).special)
    counts = Counter(states)
    counts["special"] = sum(number in special for number in ids)
    pieces: list[Piece | int] = []
    shown = 0
    for start, end in _windows(states):
        if start > shown:
            pieces.append(start - shown)
        pieces += _pieces(tokenizer, ids, states, start, end)
        shown = end
    if shown < len(ids):
        pieces.append(len(ids) - shown)
    return Part(whole.prefix.removesuffix("_"), tuple(pieces), counts)


def cut_off(tokenizer: PreTrainedTokenizerBase, rendered: Example, kept: Example | None) -> str:
    """The text of what was cut off: all between what both have in common at the beginning and at the end."""
    gone = (whole.ids[slice(*_cut(whole.ids, rest))] for whole, rest in _both(rendered, kept) if len(rest) < len(whole.ids))
    return " … ".join(str(tokenizer.decode(ids)).replace("\ufffd", PART) for ids in gone)


def _cut(whole: list[int], rest: list[int]) -> tuple[int, int]:
    start = next((place for place, (one, other) in enumerate(zip(whole, rest, strict=False)) if one != other), len(rest))
    return start, len(whole) - (len(rest) - start)


def _states(whole: Tokens, kept: list[int]) -> list[str]:
    labels = [IGNORED] * len(whole.ids) if whole.labels is None else whole.labels
    states = [READ if label == IGNORED else TRAINED for label in labels]
    start, end = _cut(whole.ids, kept)
    states[start:end] = [CUT] * (end - start)
    return states


def _windows(states: Sequence[str]) -> Iterator[tuple[int, int]]:
    """What is shown of a row: [begin, end) in tokens, in order, none touching another."""
    size = len(states)
    if size <= WHOLE:
        yield 0, size
        return
    borders = [place for place in range(1, size) if states[place] != states[place - 1]]
    wanted = [(0, ENDS), *((place - MARGIN, place + MARGIN) for place in [*borders[:BORDERS], *borders[-2:]]), (size - ENDS, size)]
    begin, end = 0, 0
    for start, stop in sorted(wanted):
        if start > end:
            yield begin, end
            begin = start
        end = max(end, stop)
    yield begin, min(end, size)


def _pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], states: Sequence[str], start: int, end: int) -> Iterator[Piece]:
    special = marks(tokenizer).special
    while start < end:
        text, size = special.get(ids[start]), 1
        if text is None:
            limit = next((place for place in range(start, end) if states[place] != states[start] or ids[place] in special), end)
            text, size = _readable(tokenizer, ids[start : min(limit, start + MOST)])
        written = " ".join(tokenizer.convert_ids_to_tokens(list(ids[start : start + size])))
        places = f"token {start + 1}" if size == 1 else f"tokens {start + 1} to {start + size}"
        title = f"{places} · id {' '.join(map(str, ids[start : start + size]))} · {written}"
        yield Piece(tuple(_parts(text)), states[start], ids[start] in special, size, title)
        start += size


def _readable(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, int]:
    """The text of the first of `ids`, or of the first few where only together they are whole characters; and how many these are."""
    for size in range(1, len(ids) + 1):
        text = tokenizer.decode(list(ids[:size]), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if "\ufffd" not in text:
            first = str(tokenizer.convert_ids_to_tokens(ids[0]))
            if first.startswith("##"):  # WordPiece: decoding drops the mark that says it goes on
                return first if size == 1 else text, size
            return " " + text if first.startswith("▁") and not text.startswith(" ") else text, size  # SentencePiece: and there the blank
    return PART, 1


def _parts(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"([\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff])", text):
        if len(part) == 1 and (part in UNSEEN or not part.isprintable() or part.isspace()):
            yield UNSEEN.get(part, f"U+{ord(part):04X}"), "break" if part == "\n" else "blank"
        elif part:
            yield part, "text"
