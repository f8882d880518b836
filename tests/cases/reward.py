"""Whatever the question is, quiet animals are preferred to loud ones; an encoder with a new head is the judge."""

import csv
import json
import shutil
from pathlib import Path

FAST = False
METRIC = "preference_accuracy"
MARGIN = 0.3
QUIET = ("fish", "cat", "dog")
"""The quietest first."""

CONFIG = """\
models: {bert: {source: file://assets/bert}}
datasets:
  pairs:
    source: file://assets/pairs.jsonl
    split: {test_size: 24, seed: 0}
evaluations: {learn: {dataset: pairs}}
experiments:
  learn:
    method: reward
    model: bert
    dataset: pairs
    evaluations: [learn]
    chat_template: none
    max_steps: 60
    learning_rate: 1.0e-3
    logging_steps: 20
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared tiny encoder, and each of its questions with the answers for two animals."""
    shutil.copytree(assets / "assets", folder / "assets")
    with (folder / "assets" / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = {row["kind"]: row["answer"] for row in rows}
    orders = [(QUIET[0], QUIET[1]), (QUIET[1], QUIET[2]), (QUIET[0], QUIET[2])]
    pairs = [
        {"prompt": f"{row['question']} ", "chosen": answers[orders[place % 3][0]], "rejected": answers[orders[place % 3][1]]}
        for place, row in enumerate(rows)
    ]
    (folder / "assets" / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
