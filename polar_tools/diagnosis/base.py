"""What every diagnosis is given, and what it gives back.

A diagnosis file has WORDS (by language: a title, and templates of the symptom, its likely cause and what to change, which the figures of a
finding fill) and find(run) -> Finding or None.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polar_tools.learning_curves import Curve, Points, curve

if TYPE_CHECKING:
    from polar_tools.methods.base import Config
    from polar_tools.metrics.base import Prediction

PARTS, FEWEST = 5, 10
"""A curve is judged by the means of its fifths, and one of fewer points than the other isn't judged at all: single batches say little."""


@dataclass(frozen=True)
class Words:
    """A diagnosis in one language. All but the title may hold figures of the finding, as str.format has them."""

    title: str
    symptom: str
    cause: str
    change: str

    def filled(self, figures: Mapping[str, Any]) -> Words:
        """The same with the figures in their places."""
        return Words(self.title, self.symptom.format(**figures), self.cause.format(**figures), self.change.format(**figures))


@dataclass(frozen=True)
class Finding:
    """Something was found; `figures` are what was seen, by name, and fill the words of the diagnosis."""

    figures: Mapping[str, str | int | float]


@dataclass(frozen=True)
class Measurement:
    """One evaluation of the trained model: figures by name, those of the untouched model (empty where it wasn't measured), every row."""

    name: str
    after: Mapping[str, float]
    before: Mapping[str, float]
    given_by: Mapping[str, str]
    intervals: Mapping[str, Mapping[str, Sequence[float]]]
    """`before` and `after`: figure -> low and high, where that is known."""
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Run:
    """What is known of one training, finished or not."""

    config: Config
    log: tuple[Mapping[str, Any], ...]
    """Lines of metrics.jsonl."""
    finished: bool = True
    error: str = ""
    """What train.log says ended a training that isn't finished."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the training's record tells; empty while it isn't finished."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What its manifest measured: memory and time."""
    tokens: Mapping[str, Any] = field(default_factory=dict)
    """report.json of the stage tokenize."""
    evaluations: tuple[Measurement, ...] = ()
    to_be_evaluated: bool = False
    """Whether evaluations are planned, made or not."""
    model_bytes: int = 0
    """Size of the saved model."""
    state_bytes: int = 0
    """Size of the optimizer's state in all checkpoints."""

    @cached_property
    def curve(self) -> Curve:
        """The losses. Those of a training by rewards are none: they say nothing about how good the model is."""
        return Curve([], {}) if any("reward" in line for line in self.log) else curve(self.log)

    @cached_property
    def fifths(self) -> list[list[float]]:
        """The training losses in five parts, one after another; empty where there are too few, or some are no numbers."""
        return fifths(self.curve.train)

    def epoch(self, step: float) -> float:
        """In which epoch a step was logged; 0 where the log doesn't say."""
        return next((float(line["epoch"]) for line in self.log if line.get("step") == step and "epoch" in line), 0.0)


def fifths(points: Points) -> list[list[float]]:
    """The values of a curve in five parts, one after another; empty where there are too few, or some are no numbers."""
    values = [value for _, value in points]
    if len(values) < FEWEST or not all(map(math.isfinite, values)):
        return []
    places = [round(part * len(values) / PARTS) for part in range(PARTS + 1)]
    return [values[start:end] for start, end in itertools.pairwise(places)]


def noise(values: Sequence[float]) -> float:
    """The standard error of the mean of `values`."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
