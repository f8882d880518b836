"""Questions about animals and their answers."""

import shutil
from pathlib import Path

FAST = True
METRIC = "rougeL"
MARGIN = 0.3

CONFIG = """\
models: {llama: {source: file://assets/llama}}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {prompt: question, completion: answer}
    split: {test_size: 12, seed: 0}
evaluations: {learn: {dataset: sayings, generation: {max_new_tokens: 12}}}
experiments:
  learn:
    method: sft
    model: llama
    dataset: sayings
    evaluations: [learn]
    max_steps: 30
    learning_rate: 1.0e-2
    logging_steps: 10
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared tiny decoder and rows."""
    shutil.copytree(assets / "assets", folder / "assets")
