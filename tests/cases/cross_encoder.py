"""How good two things are together: the words tell."""

import csv
import itertools
import random
import shutil
from pathlib import Path

FAST = False
METRIC = "similarity_spearman"
MARGIN = 0.4

CONFIG = """\
models: {bert: {source: file://assets/bert}}
datasets:
  moods:
    source: file://assets/moods.csv
    split: {test_size: 20, seed: 0}
evaluations: {learn: {dataset: moods}}
experiments:
  learn:
    method: cross_encoder
    model: bert
    dataset: moods
    evaluations: [learn]
    max_steps: 80
    per_device_train_batch_size: 16
    learning_rate: 3.0e-3
    threads: 1
"""

MOODS = {"awful": 0.0, "bad": 0.2, "dull": 0.4, "fair": 0.6, "good": 0.8, "great": 1.0}


def make(folder: Path, assets: Path) -> None:
    """The shared tiny encoder, and pairs with scores."""
    shutil.copytree(assets / "assets", folder / "assets")
    rows = [
        (f"a {one} meal", f"a {other} {place}", (MOODS[one] + MOODS[other]) / 2)
        for one, other, place in itertools.product(MOODS, MOODS, ("room", "view"))
    ]
    random.Random(0).shuffle(rows)
    with (folder / "assets" / "moods.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("sentence1", "sentence2", "score"), *rows])
