"""Which animal does what: the words tell."""

import shutil
from pathlib import Path

FAST = True
METRIC = "accuracy"
MARGIN = 0.4

CONFIG = """\
models: {bert: {source: file://assets/bert}}
datasets:
  kinds:
    source: file://assets/rows.csv
    columns: {text: answer, label: kind}
    split: {test_size: 12, stratify: label, seed: 0}
evaluations: {learn: {dataset: kinds}}
experiments:
  learn:
    method: classification
    model: bert
    dataset: kinds
    evaluations: [learn]
    max_steps: 100
    learning_rate: 1.0e-3
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared tiny encoder and rows."""
    shutil.copytree(assets / "assets", folder / "assets")
