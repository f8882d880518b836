"""The loss of a training, and of what was looked at meanwhile, as a picture and as a table."""

import json
from pathlib import Path

from polar_tools import charts, learning_curves

LINES = [
    {"loss": 3.0, "step": 5},
    {"eval_held_loss": 2.5, "eval_held_runtime": 1.0, "step": 5},
    {"eval_loss_of_all_loss": 9.0, "step": 5},
    {"loss": 2.0, "grad_norm": 1.0, "step": 10},
    {"eval_held_loss": 1.5, "step": 10},
]


def written(folder: Path) -> Path:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    return folder


def test_curves_of_training_and_evaluations_are_read_and_drawn(tmp_path: Path) -> None:
    curve = learning_curves.read(written(tmp_path / "a") / "metrics.jsonl")
    assert curve.train == [(5, 3.0), (10, 2.0)]
    assert curve.evaluation == {"held": [(5, 2.5), (10, 1.5)], "loss_of_all": [(5, 9.0)]}
    lines = learning_curves.drawn({"seed0": curve, "seed1": curve})
    told = [(line.label, line.colour, line.style) for line in lines]
    assert told[:4] == [("seed0", 0, 0), ("seed0, held", 0, 1), ("seed0, loss_of_all", 0, 2), ("seed1", 1, 0)]
    svg = charts.curves("c", lines, "optimizer step")
    assert "seed1, held" in svg and "stroke-dasharray" in svg and "var(--line1)" in svg


def test_table_holds_the_training_loss(tmp_path: Path) -> None:
    assert learning_curves.table({"x": {"seed0": written(tmp_path / "a")}}) == "experiment,run,step,loss\nx,seed0,5,3.0\nx,seed0,10,2.0\n"
