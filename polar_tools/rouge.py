"""ROUGE of one text against one reference (Lin 2004), as rouge_score counts it, in a fraction of the time.

A text is the tokens of its lines; tokens may be anything that can be counted. The longest common subsequence is found by bits of a whole
number, one a token of the reference (Hyyrö 2004), and read off it as rouge_score reads it off its table, for `rougeLsum` depends on which
of several it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import chain, pairwise

Line = Sequence[Hashable]
Lines = Sequence[Line]


def scores(reference: Lines, text: Lines) -> dict[str, float]:
    """F1 of each of KINDS, between 0 and 1; 0 where one side has nothing to count."""
    return {kind: score(reference, text) for kind, score in KINDS.items()}


def rouge1(reference: Lines, text: Lines) -> float:
    """Of tokens."""
    return _of_counts(_joined(reference), _joined(text))


def rouge2(reference: Lines, text: Lines) -> float:
    """Of pairs of neighbours."""
    return _of_counts(list(pairwise(_joined(reference))), list(pairwise(_joined(text))))


def rouge_l(reference: Lines, text: Lines) -> float:
    """Of the longest common subsequence."""
    wanted, written = _joined(reference), _joined(text)
    return _f1(_longest(wanted, written), len(wanted), len(written))


def rouge_lsum(reference: Lines, text: Lines) -> float:
    """Of what the lines of the reference have in common with any of the text's; lines are sentences here."""
    wanted, written = ([line for line in lines if line] for lines in (reference, text))
    if len(wanted) == 1 and len(written) == 1:
        return rouge_l(reference, text)
    left = Counter(chain.from_iterable(written))
    hits = 0
    for line in wanted:
        for token in _in_any(line, written):
            if left[token] > 0:  # no token of the text counts twice
                left[token] -= 1
                hits += 1
    return _f1(hits, sum(map(len, wanted)), sum(map(len, written)))


KINDS: dict[str, Callable[[Lines, Lines], float]] = {"rouge1": rouge1, "rouge2": rouge2, "rougeL": rouge_l, "rougeLsum": rouge_lsum}
"""By rouge_score's names."""


def _joined(lines: Lines) -> Line:
    return lines[0] if len(lines) == 1 else list(chain.from_iterable(lines))


def _of_counts(reference: Sequence[Hashable], text: Sequence[Hashable]) -> float:
    wanted, written = Counter(reference), Counter(text)
    fewer, more = sorted((wanted, written), key=len)
    return _f1(sum(min(count, more[one]) for one, count in fewer.items() if one in more), len(reference), len(text))


def _f1(hits: int, wanted: int, written: int) -> float:
    if not hits:
        return 0.0
    precision, recall = hits / written, hits / wanted
    return 2 * precision * recall / (precision + recall)


def _places(line: Line) -> dict[Hashable, int]:
    """Token -> the places at which it stands, as bits."""
    places: dict[Hashable, int] = {}
    for place, token in enumerate(line):
        places[token] = places.get(token, 0) | 1 << place
    return places


def _longest(reference: Line, text: Line) -> int:
    """How long the longest common subsequence is."""
    places, whole = _places(reference), (1 << len(reference)) - 1
    row = whole
    for token in text:
        if here := row & places.get(token, 0):
            row = (row + here | row - here) & whole
    return len(reference) - row.bit_count()


def _in_any(reference: Line, lines: Lines) -> list[Hashable]:
    """The tokens of `reference` that belong to a longest common subsequence with one of `lines`, in their order."""
    places, found = _places(reference), 0
    for line in lines:
        found |= _common(places, len(reference), line)
    return [token for place, token in enumerate(reference) if found >> place & 1]


def _common(places: dict[Hashable, int], length: int, line: Line) -> int:
    """The places in a reference of its longest common subsequence with `line`, as bits.

    A bit of `row` is 0 where one token more of the reference makes the common subsequence longer. Of several rouge_score takes the one that
    it meets first from the end, where it goes back in the text rather than in the reference only if that loses nothing.
    """
    row = whole = (1 << length) - 1
    steps: list[tuple[int, int]] = []
    for token in line:
        here = places.get(token, 0)
        if new := row & here:
            row = (row + new | row - new) & whole
        steps.append((here, row))
    found, before = 0, whole
    for here, row in reversed(steps):
        place = ((here | ~row) & before).bit_length() - 1
        if place < 0:
            break
        if here >> place & 1:
            found |= 1 << place
            before = (1 << place) - 1
        else:
            before = (1 << place + 1) - 1
    return found
