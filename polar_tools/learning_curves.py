"""How the loss went while a model was trained, read off metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polar_tools.charts import Line

Points = list[tuple[float, float]]
"""(step, loss)."""


@dataclass(frozen=True)
class Curve:
    """The loss of the training batches, and that of each dataset that was looked at meanwhile, by its name."""

    train: Points
    evaluation: dict[str, Points]


def lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl that are whole: the last of a training that runs, or was killed, may not be. Empty without the file."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def curve(logged: Iterable[Mapping[str, Any]]) -> Curve:
    """The curve in the lines of a metrics.jsonl."""
    train: Points = []
    evaluation: dict[str, Points] = {}
    for line in logged:
        for name, value in line.items():
            if name == "loss":
                train.append((line["step"], value))
            elif name.startswith("eval_") and name.endswith("_loss"):
                evaluation.setdefault(name.removeprefix("eval_").removesuffix("_loss"), []).append((line["step"], value))
    return Curve(train, evaluation)


def read(file: Path) -> Curve:
    """The curve in a metrics.jsonl."""
    return curve(lines(file))


def drawn(curves: Mapping[str, Curve]) -> list[Line]:
    """A line a run, in its colour; what was looked at meanwhile is dashed, or dotted where there are several."""
    made = []
    for number, (run, one) in enumerate(curves.items()):
        made.append(Line(run, one.train, number))
        for place, (name, points) in enumerate(one.evaluation.items()):
            made.append(Line(f"{run}, {name}", points, number, 1 + place))
    return made


def table(trainings: Mapping[str, Mapping[str, Path]]) -> str:
    """The curves of the training batches of experiments and runs, by their folders, as CSV."""
    rows = ["experiment,run,step,loss\n"]
    for experiment, runs in trainings.items():
        for run, folder in runs.items():
            rows += [f"{experiment},{run},{step},{loss}\n" for step, loss in read(folder / "metrics.jsonl").train]
    return "".join(rows)
