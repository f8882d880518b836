"""One metric before and after a training, as people compare it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from polar_tools import discovery

MAJORITY = "majority_"
"""`majority_accuracy` is no result of a model but the bar that `accuracy` must clear."""


@dataclass(frozen=True)
class Score:
    """One figure before and after: `after` by run, `majority` what a constant answer would reach.

    `lower_is_better` (None where neither is) and `is_share` (between 0 and 1, read times 100) are what its metric says of itself.
    """

    name: str
    before: float
    after: dict[str, float]
    majority: float | None
    lower_is_better: bool | None
    is_share: bool

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
        if not self.change or self.lower_is_better is None:
            return "same"
        return "better" if (self.change < 0) == self.lower_is_better else "worse"

    def at(self, value: float) -> float:
        """Where `value` lies between 0 and 100 % of a bar: scores on their own scale, others against the largest."""
        most = max(map(abs, (self.before, *self.after.values())))
        largest = max(1.0, most) if self.is_share else most or 1.0  # a sum of shares may be more than 1
        return round(100 * max(value, 0.0) / largest, 2)


def compare(figures: Mapping[str, Mapping[str, float]], given_by: Mapping[str, str]) -> list[Score]:
    """Scores from run -> figure -> number, where `base` is before and every other run after; shares stand first.

    `given_by` names the metric of each figure.
    """
    before = figures["base"]
    runs = {run: found for run, found in figures.items() if run != "base"}
    bars = {name for name in before if name.startswith(MAJORITY) and name.removeprefix(MAJORITY) in before}
    scores = [
        Score(
            name=name,
            before=value,
            after={run: found[name] for run, found in runs.items()},
            majority=before.get(MAJORITY + name),
            lower_is_better=metric.LOWER_IS_BETTER,
            is_share=metric.SHARE,
        )
        for name, value in before.items()
        if name not in bars and (metric := discovery.load("metrics", given_by[name]))
    ]
    return sorted(scores, key=lambda score: (not score.is_share, score.name))


def plain(value: float, digits: int, signed: bool = False) -> str:
    """A number as people read it, with a true minus."""
    return f"{value:{'+' if signed else ''}z,.{digits}f}".replace("-", "−")
