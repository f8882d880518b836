"""One metric before and after a training, as people compare it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

MAJORITY = "majority_"
"""`majority_accuracy` is no result of a model but the bar that `accuracy` must clear."""
LOWER_IS_BETTER = ("loss", "perplexity")
"""How the names of such metrics end; all others are the better the higher."""


@dataclass(frozen=True)
class Score:
    """One metric before and after: `after` by run, `majority` what a constant answer would reach."""

    name: str
    before: float
    after: dict[str, float]
    majority: float | None

    @property
    def lower_is_better(self) -> bool:
        """Whether less of it is more."""
        return self.name.endswith(LOWER_IS_BETTER)

    @property
    def is_share(self) -> bool:
        """Whether it is a score between 0 and 1, which people read times 100."""
        return not self.lower_is_better and all(0 <= value <= 1 for value in (self.before, *self.after.values()))

    @property
    def digits(self) -> int:
        """How many digits behind the point matter."""
        largest = max(self.before, *self.after.values())
        return 1 if self.is_share or largest >= 100 else 2 if largest >= 10 else 3

    @property
    def mean(self) -> float:
        """Over the runs."""
        return statistics.fmean(self.after.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over the runs, None where there is but one."""
        return statistics.stdev(self.after.values()) if len(self.after) > 1 else None

    @property
    def change(self) -> float:
        """From before to the mean after."""
        return self.mean - self.before

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `same`, as the reader sees it."""
        if not self.change:
            return "same"
        return "better" if (self.change < 0) == self.lower_is_better else "worse"

    def at(self, value: float) -> float:
        """Where `value` lies between 0 and 100 % of a bar: scores on their own scale, others against the largest."""
        largest = 1.0 if self.is_share else max(map(abs, (self.before, *self.after.values()))) or 1.0
        return round(100 * max(value, 0.0) / largest, 2)


def compare(figures: Mapping[str, Mapping[str, float]]) -> list[Score]:
    """Scores from run -> metric -> number, where `base` is before and every other run after; losses stand behind."""
    before = figures["base"]
    runs = {run: found for run, found in figures.items() if run != "base"}
    bars = {name for name in before if name.startswith(MAJORITY) and name.removeprefix(MAJORITY) in before}
    scores = [
        Score(name, value, {run: found[name] for run, found in runs.items()}, before.get(MAJORITY + name))
        for name, value in before.items()
        if name not in bars
    ]
    return sorted(scores, key=lambda score: (not score.is_share, score.name))


def plain(value: float, digits: int, signed: bool = False) -> str:
    """A number as people read it, with a true minus."""
    return f"{value:{'+' if signed else ''}z,.{digits}f}".replace("-", "−")
