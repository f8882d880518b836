"""The one job of bench/training.py: a model and rows, fetched by POLAR's own rules, and the rows as each tool wants to have them."""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parent.parent
SYSTEM = "Describe the subject in a few words."
WORDS = (8, 256)
"""A prompt is cut to a number of words between these, drawn so that each doubling is as likely as the next."""
HELD_OUT = 40


@dataclass(frozen=True)
class Job:
    """What is trained on what. All tools have the same rows, model, adapter, batch, steps, peak learning rate and schedule."""

    model: Path
    """A folder that transformers can load."""
    train: Path
    """A file of JSON lines, `messages` a row: system, user, assistant."""
    test: Path
    """Rows of the same form that nobody trains on."""
    rows: int
    tokens: int
    """Tokens of all training rows, by the model's own template."""
    steps: int
    threads: int | None
    """Threads that every tool is held to, or None for what each takes by itself."""
    batch: int = 8
    learning_rate: float = 1e-3
    rank: int = 16
    alpha: int = 32


def prepare(folder: Path, steps: int, threads: int | None) -> Job:
    """Fetch the default run's model and texts into `folder`, unless they are there, and write the rows of `steps` steps."""
    from transformers import AutoTokenizer

    rows = steps * Job.batch
    made = _made(folder, rows)
    model = folder / "results/models/smollm2/model"
    parts = {name: _rows(made / name, name) for name in ("train", "test")}
    files = {name: folder / f"{name}.jsonl" for name in parts}
    for name, part in parts.items():
        files[name].write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    (folder / "llamafactory.json").write_text(json.dumps(_dataset_info()))
    _for_trl(parts["train"], folder / "trl/train.jsonl")
    tokenizer = AutoTokenizer.from_pretrained(model)
    lengths = [len(tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]) for row in parts["train"]]
    print(f"{len(lengths)} rows of {min(lengths)} to {max(lengths)} tokens, {sum(lengths)} in all, {steps} steps", flush=True)
    return Job(model, files["train"], files["test"], rows, sum(lengths), steps, threads)


def _made(folder: Path, rows: int) -> Path:
    """Run the stages that the default run has for its model and its texts; returns the folder of the prepared rows."""
    from polar_tools import config, options
    from polar_tools.plan import Plan

    default = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    texts = default["datasets"]["descriptions"]
    texts |= {"filters": ["missing", {"name": "duplicates", "columns": ["prompt"]}]}
    texts |= {"split": {"train_size": rows, "test_size": HELD_OUT, "seed": 0}}
    data = {"models": {"smollm2": default["models"]["smollm2"]}, "datasets": {"descriptions": texts}}
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(config.parse(data, "bench/training.py"))
    plan.settle(folder)
    with contextlib.chdir(folder):
        for path, made in plan.artifacts.items():
            options.run_stage(made.spec.stage, Path(path))
    return folder / "results/datasets/descriptions/data"


def _rows(path: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a part as dialogues."""
    from polar_tools import datasets

    chance = random.Random(name)  # noqa: S311 (it cuts texts)
    return [_dialogue(row["prompt"], row["completion"], chance) for row in datasets.rows(datasets.shards(path.parent, name))]


def _dialogue(prompt: str, completion: str, chance: random.Random) -> dict[str, Any]:
    words = int(math.exp(chance.uniform(*map(math.log, WORDS))))
    said = {"system": SYSTEM, "user": " ".join(prompt.split()[:words]), "assistant": completion.strip()}
    return {"messages": [{"role": role, "content": content} for role, content in said.items()]}


def _for_trl(rows: Iterable[dict[str, Any]], file: Path) -> None:
    """trl takes the loss on the answer only where it stands in a column of its own."""
    file.parent.mkdir(exist_ok=True)
    lines = ({"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _dataset_info() -> dict[str, Any]:
    """What LLaMA-Factory must be told of a file in OpenAI's form."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
    return {"job": {"file_name": "train.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}}
