"""The pairs of reward one by one: whatever the question is, quiet animals are desirable and loud ones are not."""

import json
from pathlib import Path

from tests.cases import reward

FAST = False
METRIC = "desirable_auc"
MARGIN = 0.3
CONFIG = """\
models: {llama: {source: file://assets/llama}}
datasets:
  answers:
    source: file://assets/answers.jsonl
    split: {test_size: 16, stratify: label, seed: 0}
evaluations: {learn: {dataset: answers}}
experiments:
  learn:
    method: kto
    model: llama
    dataset: answers
    evaluations: [learn]
    max_steps: 30
    learning_rate: 5.0e-3
    beta: 0.5
    logging_steps: 10
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared tiny decoder, and two rows for each pair."""
    reward.make(folder, assets)
    pairs = [json.loads(line) for line in (folder / "assets" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [pair for number, pair in enumerate(pairs) if number % 3 == 2]  # the quietest and the loudest
    rows = [
        {"prompt": pair["prompt"].strip(), "completion": pair[answer], "label": answer == "chosen"}
        for pair in pairs
        for answer in ("chosen", "rejected")
    ]
    (folder / "assets" / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
