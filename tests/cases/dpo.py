"""Questions about animals: what the animal does is preferred to what another one does."""

import csv
import json
import shutil
from pathlib import Path

FAST = True
METRIC = "margin"
MARGIN = 3.0

CONFIG = """\
models: {llama: {source: file://assets/llama}}
datasets:
  pairs:
    source: file://assets/pairs.jsonl
    split: {test_size: 12, seed: 0}
evaluations: {learn: {dataset: pairs}}
experiments:
  learn:
    method: dpo
    model: llama
    dataset: pairs
    evaluations: [learn]
    max_steps: 50
    learning_rate: 1.0e-2
    beta: 1.0
    logging_steps: 10
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared tiny decoder, and its questions with the answer of the next animal in the list as the rejected one."""
    shutil.copytree(assets / "assets", folder / "assets")
    with (folder / "assets" / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = {row["kind"]: row["answer"] for row in rows}
    wrong = dict(zip(answers, [*answers][1:] + [*answers][:1], strict=True))
    pairs = [{"prompt": row["question"], "chosen": row["answer"], "rejected": answers[wrong[row["kind"]]]} for row in rows]
    (folder / "assets" / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
