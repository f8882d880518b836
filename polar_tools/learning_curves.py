"""How the loss went while a model was trained, read off metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polar_tools.charts import Line

Points = list[tuple[float, float]]
"""(step, loss)."""


@dataclass(frozen=True)
class Curve:
    """The loss of the training batches, and that of each dataset that was looked at meanwhile, by its name."""

    train: Points
    evaluation: dict[str, Points]


def read(file: Path) -> Curve:
    """The curve in a metrics.jsonl."""
    train: Points = []
    evaluation: dict[str, Points] = {}
    for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        for name, value in line.items():
            if name == "loss":
                train.append((line["step"], value))
            elif name.startswith("eval_") and name.endswith("_loss"):
                evaluation.setdefault(name.removeprefix("eval_").removesuffix("_loss"), []).append((line["step"], value))
    return Curve(train, evaluation)


def drawn(curves: Mapping[str, Curve]) -> list[Line]:
    """A line a run, in its colour; what was looked at meanwhile is dashed, or dotted where there are several."""
    lines = []
    for number, (run, curve) in enumerate(curves.items()):
        lines.append(Line(run, curve.train, number))
        for place, (name, points) in enumerate(curve.evaluation.items()):
            lines.append(Line(f"{run}, {name}", points, number, 1 + place))
    return lines


def table(trainings: Mapping[str, Mapping[str, Path]]) -> str:
    """The curves of the training batches of experiments and runs, by their folders, as CSV."""
    rows = ["experiment,run,step,loss\n"]
    for experiment, runs in trainings.items():
        for run, folder in runs.items():
            rows += [f"{experiment},{run},{step},{loss}\n" for step, loss in read(folder / "metrics.jsonl").train]
    return "".join(rows)
