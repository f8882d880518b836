"""What past runs below the working directory measured, and what it says of a figure that the formulas give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FADES = 1.0
"""A run counts half as much for each doubling (or halving) of the figure between it and what is asked about."""
OTHER_METHOD = 0.25
"""How much a run of another method counts."""
PRIOR = 0.5
"""How many runs the formulas themselves count for."""
WIDEST = 4.0
"""No correction is larger, nor smaller than its reciprocal."""


@dataclass(frozen=True)
class Run:
    """A figure of a past run: as the formulas give it, and as it was."""

    path: str
    kind: str
    """Its method, or its stage."""
    predicted: float
    measured: float


@dataclass(frozen=True)
class Corrected:
    """A figure, corrected by past runs."""

    value: float
    factor: float
    runs: int
    """Past runs that had a say."""


def corrected(figure: float, kind: str, runs: Iterable[Run], prior: float = PRIOR) -> Corrected:
    """`figure` times how far past runs were from what the formulas give of them: a mean over runs, in which like ones count more."""
    known = [run for run in runs if run.predicted > 0 and run.measured > 0]
    if not known or figure <= 0:
        return Corrected(figure, 1.0, 0)
    weights = [_alike(figure, kind, run) for run in known]
    away = sum(weight * math.log(run.measured / run.predicted) for weight, run in zip(weights, known, strict=True))
    factor = math.exp(away / (sum(weights) + prior))
    factor = min(WIDEST, max(1 / WIDEST, factor)) if prior else factor
    return Corrected(figure * factor, factor, len(known))


def _alike(figure: float, kind: str, run: Run) -> float:
    return (1.0 if run.kind == kind else OTHER_METHOD) * math.exp2(-FADES * abs(math.log2(figure / run.predicted)))


def error(runs: Sequence[Run], prior: float = PRIOR) -> float | None:
    """The median of how far each past run is from what is predicted of it without itself, as a share; None with fewer than two."""
    found = []
    for place, run in enumerate(runs):
        others = [*runs[:place], *runs[place + 1 :]]
        if others:
            found.append(abs(corrected(run.predicted, run.kind, others, prior).value / run.measured - 1))
    return median(found) if found else None


def folders(root: Path, stage: str) -> list[Path]:
    """The finished artifacts of `stage` below `root`, sorted."""
    patterns: dict[str, str] = {
        "train": "results/*/*/train",
        "evaluate": "results/*/*/evaluate/*",
        "harness": "results/*/*/harness/*",
        "rank": "results/*/rank",
        "tokenize": "results/*/tokenize",
        "prepare": "results/datasets/*",
        "mix": "results/datasets/*",
        "overlap": "results/datasets/*/overlap/*",
        "decontaminate": "results/datasets/*/clean",
        "expect": "results/**/expect",
        "mirror": "resources/*/*",
        "convert": "results/models/*",
        "compare": "results/comparisons/*",
        "report": "results/report",
        "publish": "results/publish/*",
    }
    return sorted(file.parent for file in root.glob(f"{patterns[stage]}/manifest.json"))


def gathered(root: Path, stage: str, run: Callable[[Path], Run | None]) -> list[Run]:
    """The runs of a stage that `run` can make something of."""
    return [found for folder in folders(root, stage) if (found := run(folder)) is not None]
