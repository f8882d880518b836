"""One evaluation of one experiment as a page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from polar_tools import differences, scores
from polar_tools.artifact import canonical
from polar_tools.differences import Piece
from polar_tools.exhibits import confusion, histograms
from polar_tools.exhibits.chain import Link, link
from polar_tools.exhibits.confusion import Confusion
from polar_tools.exhibits.histograms import Histogram
from polar_tools.metrics.base import Prediction
from polar_tools.provenance import Node
from polar_tools.scores import Score
from polar_tools.specs import EvaluateSpec, thaw

SAMPLES = 8
"""How many test rows of each evaluation are shown."""
LONGEST_TEXT = 1000
"""What is shown of a text, in characters, so that the page stays light."""
BASE = "base"


@dataclass(frozen=True)
class Sample:
    """One test row with what the untouched and the trained model made of it."""

    input: str
    reference: str
    before: str | None
    after: str | None

    def marked(self, text: str | None, other: str | None) -> list[Piece]:
        """`text` in pieces, those that `other` lacks marked."""
        return differences.marked(text or "", other or "")


@dataclass(frozen=True)
class Overlap:
    """What a dataset that was trained on has in common with the test rows, and how many of its rows were left out for it."""

    dataset: str
    node: Node
    dropped: int

    @property
    def test(self) -> dict[str, int]:
        """Counts of test rows."""
        counts: dict[str, int] = self.node.record["facts"]["test"]
        return counts

    @property
    def training_rows(self) -> int:
        """Rows of the dataset that overlap."""
        return int(self.node.record["facts"]["training"]["overlapping"])


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one experiment; `predictions` are those of the untouched model and of each run."""

    name: str
    base: Node
    runs: dict[str, Node]
    predictions: Mapping[str, Sequence[Prediction]]
    overlaps: tuple[Overlap, ...]

    @cached_property
    def spec(self) -> EvaluateSpec:
        """What it was told; that of the untouched model stands for all."""
        spec = thaw(canonical(self.base.record["spec"]), self.base.path)
        assert isinstance(spec, EvaluateSpec)
        return spec

    @property
    def nodes(self) -> dict[str, Node]:
        """Run -> its artifact, that of the untouched model first."""
        return {BASE: self.base, **self.runs}

    @property
    def chains(self) -> dict[str, Link]:
        """Run -> from what its numbers were made, the longest ways first."""
        return {run: link(node, set()) for run, node in self.nodes.items()}

    @property
    def rows(self) -> int:
        """Test rows."""
        return int(self.base.record["facts"]["rows"])

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Run -> metric -> number; `base` is the untouched model."""
        return {run: node.record["facts"]["metrics"] for run, node in self.nodes.items()}

    @cached_property
    def scores(self) -> list[Score]:
        """Every metric, before and after."""
        return scores.compare(self.figures, self.base.record["facts"]["given_by"])

    def interval(self, run: str, figure: str) -> Sequence[float] | None:
        """Between which bounds a figure of a run lies with 95 % confidence; None where nobody computed it."""
        found: Sequence[float] | None = self.nodes[run].record["facts"].get("intervals", {}).get(figure)
        return found

    @property
    def notes(self) -> list[str]:
        """What the evaluations noted of their rows, by whom."""
        return [f"{run}: {note}" for run, node in self.nodes.items() for note in node.record["facts"].get("notes", [])]

    @property
    def generation(self) -> dict[str, Any]:
        """How the models wrote, where it isn't the default."""
        return self.spec.generation.model_dump(exclude_defaults=True)

    @property
    def sorts(self) -> bool:
        """Whether predictions are labels, of which each is right or wrong."""
        return "accuracy" in self.base.record["facts"]["metrics"] and all(row.prediction is not None for row in self.predictions[BASE])

    @property
    def confusion(self) -> Confusion | None:
        """Of the first run, where predictions are labels."""
        return confusion.of(self.predictions[next(iter(self.runs))]) if self.sorts else None

    @cached_property
    def histograms(self) -> list[Histogram]:
        """Before, and after in the first run."""
        first = next(iter(self.runs))
        return histograms.of({run: self.predictions[run] for run in (BASE, first)}, self.spec.metrics)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """Evenly spaced rows, so that nobody chose them."""
        return tuple(self._samples())

    def _samples(self) -> Iterator[Sample]:
        before, after = self.predictions[BASE], self.predictions[next(iter(self.runs))]
        count = min(SAMPLES, len(before))
        for number in (place * len(before) // count for place in range(count)):
            row = before[number]
            texts = (row.input, row.reference, row.prediction, after[number].prediction)
            yield Sample(*map(_shortened, texts))


def _shortened(text: str | None) -> Any:
    return text if text is None or len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
