"""What animals do, as plain text, in blocks cut across the sayings."""

import shutil
from pathlib import Path

FAST = False
METRIC = "loss"
MARGIN = 2.0

CONFIG = """\
models: {llama: {source: file://assets/llama}}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {text: answer}
    split: {test_size: 12, seed: 0}
evaluations: {learn: {dataset: sayings}}
experiments:
  learn:
    method: causal_lm
    model: llama
    dataset: sayings
    evaluations: [learn]
    block_size: 32
    max_steps: 30
    per_device_train_batch_size: 4
    learning_rate: 1.0e-2
    logging_steps: 10
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared tiny decoder and rows."""
    shutil.copytree(assets / "assets", folder / "assets")
