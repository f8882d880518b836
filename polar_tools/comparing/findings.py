"""All that a comparison found: on all rows, on their contaminated and clean parts, and in sentences; for people, programs and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from polar_tools.comparing import comparison, parts, sentences
from polar_tools.comparing.bootstrap import significant
from polar_tools.comparing.comparison import SAMPLES, Comparison, Families, Pair
from polar_tools.comparing.lots import Lot, Paired
from polar_tools.comparing.parts import Parts
from polar_tools.comparing.sentences import Sentence
from polar_tools.metrics.base import Options

COLUMNS = (
    *("rows", "baseline", "other", "figure", "baseline_value", "other_value", "difference", "low", "high"),
    *("p", "p_holm", "detectable", "verdict"),
)
"""Of comparison.csv, behind `part`: all, contaminated or clean."""


@dataclass(frozen=True)
class Findings:
    """A comparison on all rows and, where test rows overlap with training data, by parts; sentences about both; and what to know of it."""

    whole: Comparison
    parts: Parts | None
    sentences: tuple[Sentence, ...]
    stories: tuple[Sentence, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For programs, and for report.json."""
        return {
            **self.whole.as_dict(),
            "parts": None if self.parts is None else self.parts.as_dict(),
            "sentences": [asdict(one) for one in self.sentences],
            "stories": [asdict(one) for one in self.stories],
            "notes": list(self.notes),
        }

    def as_csv(self) -> str:
        """A line for every pair, figure and part."""
        output = io.StringIO()
        writer = csv.writer(output, lineterminator="\n")
        writer.writerow(("part", *COLUMNS))
        split = (("contaminated", self.parts.contaminated), ("clean", self.parts.clean)) if self.parts else ()
        for name, one in (("all", self.whole), *split):
            writer.writerows([name, *line] for pair in (one.pairs if one else ()) for line in _lines(one, pair))
        return output.getvalue()


def find(paired: Paired, families: Families, metrics: Sequence[Options] = (), samples: int = SAMPLES, seed: int = 0) -> Findings:
    """Compare lots that were paired; `metrics` are those of every lot, or of each its own where none is given."""
    whole = comparison.compare(paired.lots, families, metrics, samples, seed)
    split = parts.split(paired, families, metrics, samples, seed)
    stories = [] if split is None else sentences.stories(whole, split)
    return Findings(whole, split, tuple(sentences.of(whole)), tuple(stories), tuple(_notes(paired, whole, split)))


def _lines(one: Comparison, pair: Pair) -> Iterator[list[Any]]:
    for figure, told in pair.figures.items():
        found, ends = told.difference, told.difference.interval or (None, None)
        values = [one.lots[lot][figure].value for lot in (pair.baseline, pair.other)]
        numbers = [*values, found.value, *ends, found.p, told.p_holm, found.detectable]
        shown = ["" if value is None else significant(value) for value in numbers]
        yield [one.rows, pair.baseline, pair.other, figure, *shown, told.verdict]


def _notes(paired: Paired, whole: Comparison, split: Parts | None) -> Iterator[str]:
    """What a reader must know before anything is concluded."""
    for name, rows in paired.left_out.items():
        yield f"{rows:,} rows of {name} are left out: not all have them"
    if unknown := [lot.name for lot in paired.lots if lot.seen is None]:
        yield f"it is not known which rows overlap with the training data of {', '.join(unknown)}"
    alone = [lot.name for lot in paired.lots if _trained_once(lot)]
    if alone and whole.rows > 1:
        yield f"only one training of {', '.join(alone)}: this holds for the model that it gave; more `seeds` say what the next would give"
    if split is not None and split.clean is None:
        yield f"all {whole.rows:,} rows overlap with training data: there is no clean part"
    if whole.rows < 2:
        yield "a single row can't tell how much chance there is in it: there are no intervals"
    for lot, figures in whole.lots.items():
        for name, standing in figures.items():
            if standing.undefined:
                yield f"{name} of {lot} can't be computed of {standing.undefined:,} draws, as of rows that are all alike: they are left out"
    yield from (f"{what}: {why}" for what, why in whole.missing.items())


def _trained_once(lot: Lot) -> bool:
    return len(lot.runs) == 1 and lot.first_run.startswith("seed")
