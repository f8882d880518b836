"""ROUGE of 10,000 pairs of texts by rouge_score and by the metric `rouge`, in turns in one process: `make bench-eval`. Never a test.

A pair is an article of Wikipedia, a sentence to a line, and a copy of it in which words and sentences are others or missing. Both read
the same texts with the same tokenizer; of ours the time is that of the whole metric, from rows to figures. The largest difference between
their values for a row stands in the last column.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.tokenizing import fetch

LOT = 500
"""Pairs of a turn."""
SAME, WANTED = 1e-9, 1.8
WAYS = (("rouge-default", False), ("rouge-default", True), ("word", False))

Pair = tuple[str, str]


class Found(NamedTuple):
    """Seconds of CPU for all pairs, and the largest difference of a value."""

    theirs: float
    ours: float
    difference: float


def pairs(folder: Path, count: int) -> list[Pair]:
    """(text, reference)."""
    file = next(fetch("datasets", "descriptions", folder / "wikipedia").rglob("*.json"))
    extracts = [row["extract"] for row in json.loads(file.read_bytes()).values() if row.get("extract")]
    articles = [re.sub(r"(?<=[.!?])\s+", "\n", " ".join(extract.split())) for extract in extracts]
    chance = random.Random(0)  # noqa: S311 (it makes texts)
    chosen = [articles[number % len(articles)] for number in range(count)]
    return [(_changed(article, chosen[number - 1], chance), article) for number, article in enumerate(chosen)]


def _changed(article: str, other: str, chance: random.Random) -> str:
    """`article` with a third of its words from `other` or gone, and its lines in another order."""
    words = other.split()
    lines = article.split("\n")
    chance.shuffle(lines)
    kept = ((word if chance.random() > 0.3 else chance.choice(["", chance.choice(words)]) for word in line.split()) for line in lines)
    return "\n".join(" ".join(filter(None, line)) for line in kept)


def compare(rows: Sequence[Pair], tokenizer: str, stem: bool) -> Found:
    """Both on each lot of `rows`, which of them first by turns."""
    from rouge_score.rouge_scorer import RougeScorer

    from polar_tools import rouge
    from polar_tools.metrics import base
    from polar_tools.metrics.rouge import Options, parts

    class Ours:
        """Our tokenizer as rouge_score takes them."""

        def tokenize(self, text: str) -> list[str]:
            tokens: list[str] = base.tokenizer_named(tokenizer).tokens([text])[0]
            return tokens

    scorer = RougeScorer(list(rouge.KINDS), use_stemmer=stem, tokenizer=None if tokenizer == "rouge-default" else Ours())

    def theirs(lot: Sequence[Pair]) -> list[list[float]]:
        return [[score.fmeasure for score in scorer.score(reference, text).values()] for text, reference in lot]

    def ours(lot: Sequence[Pair]) -> list[list[float]]:
        predictions = [base.Prediction("", reference, text, None, 0) for text, reference in lot]
        values: list[list[float]] = parts(predictions, Options(tokenizer=tokenizer, use_stemmer=stem))[:, :-1].tolist()
        return values

    spent, apart = {theirs: 0.0, ours: 0.0}, 0.0
    for number, first in enumerate(range(0, len(rows), LOT)):
        found: dict[Any, list[list[float]]] = {}
        for who in (theirs, ours) if number % 2 else (ours, theirs):
            begun = time.process_time()
            found[who] = who(rows[first : first + LOT])
            spent[who] += time.process_time() - begun
        values = zip(found[theirs], found[ours], strict=True)
        apart = max(apart, *(abs(one - other) for row in values for one, other in zip(*row, strict=True)))
    return Found(spent[theirs], spent[ours], apart)


def main() -> None:
    """Print a line a tokenizer; exit with 1 where a value differs, or ours isn't as fast as wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    count = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        rows = pairs(Path(folder), count)
    words = sum(len(reference.split()) for _, reference in rows) / len(rows)
    print(f"ROUGE-1, -2, -L and -Lsum of {len(rows):,} pairs of {words:.0f} words, CPU seconds of one process")
    print(f"{'tokenizer':22} {'rouge_score':>11} {'polar-tools':>11} {'times':>6}  largest difference")
    failed = False
    for tokenizer, stem in WAYS:
        found = compare(rows, tokenizer, stem)
        times = found.theirs / found.ours
        name = f"{tokenizer}{', stemmed' if stem else ''}"
        print(f"{name:22} {found.theirs:11.2f} {found.ours:11.2f} {times:6.1f}  {found.difference:.1e}", flush=True)
        failed |= found.difference > SAME or times < WANTED
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
