"""A reader's folder: everything that the commands of the documentation name lies in it, small, so that they run as they are printed."""

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests import tiny
from tests.tiny import REPOSITORY

TOPICS = {"cat": "Animals", "dog": "Animals and people", "fish": "Nature"}
MODELS = ("org/name", "ORG/NAME", "smollm2/model")
"""What stands for a repository's name, or a model that was fetched: a folder of that name comes first."""
SMALL = {
    "describe": {"max_steps": 4, "threads": 1, "save_steps": 2, "max_length": None, "on_too_long": "fail"},
    "topics": {"num_train_epochs": 1, "threads": 1},
}


def make(folder: Path, assets: Path) -> None:
    """The default run's project on tiny models and rows, made once, with the other files that pages speak of."""
    folder.mkdir()
    for name in (*tiny.WORKFLOW_FILES, "examples", "dvc.yaml"):
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)
    shutil.copytree(assets / "assets", folder / "assets")
    (folder / "config").mkdir()
    config = _config()
    _write(folder / "config/config.yaml", config)
    _write(folder / "config.yaml", config)
    _write(folder / "my.yaml", config)
    _rows(folder)
    for name in MODELS:
        shutil.copytree(folder / "assets/llama", folder / name)
    shutil.copytree(folder / "assets/bert", folder / "minilm")
    _git(folder)
    done = tiny.run("snakemake", cwd=folder)
    assert done.returncode == 0, done.stderr


def _config() -> dict[str, Any]:
    """config/config.yaml with its names and settings, but tiny."""
    told = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text(encoding="utf-8"))
    told["models"] = {"smollm2": {"source": "file://assets/llama"}, "minilm": {"source": "file://assets/bert"}}
    told["datasets"]["descriptions"].pop("sha256")
    told["datasets"]["descriptions"] |= {"source": "file://articles.jsonl", "split": {"train_size": 40, "test_size": 12, "seed": 0}}
    told["datasets"]["topics"]["split"] = {"train_size": 40, "test_size": 12, "stratify": "label", "seed": 0}
    for name, fields in SMALL.items():
        told["experiments"][name] = {key: value for key, value in {**told["experiments"][name], **fields}.items() if value is not None}
    told["experiments"]["describe"].pop("on_too_long")
    told["evaluations"]["descriptions"]["generation"] = {"max_new_tokens": 4}
    told["publish"] = {"model": {"experiment": "describe", "folder": "published", "licenses": LICENCES}}
    return dict(told)


LICENCES = {"smollm2": "apache-2.0", "descriptions": "cc-by-sa-4.0"}


def _rows(folder: Path) -> None:
    """Rows in the shapes that pages speak of."""
    with (folder / "assets/rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    articles = [{"extract": row["question"], "description": row["answer"], "topic": TOPICS[row["kind"]]} for row in rows]
    _lines(folder / "articles.jsonl", articles)
    _table(folder / "rows.csv", [{"question": row["question"], "answer": row["answer"]} for row in rows])
    _table(folder / "held_out.csv", [{"prompt": f"{row['question']} again", "completion": row["answer"]} for row in rows[:8]])
    _table(folder / "reviews.csv", [{"text": row["question"], "label": row["kind"]} for row in rows])
    _table(folder / "ratings.csv", [{"text": row["question"], "rating": "1.0", "label": row["kind"]} for row in rows])
    _lines(folder / "test.jsonl", [{"messages": [_turn("user", row["question"]), _turn("assistant", row["answer"])]} for row in rows[:8]])
    _lines(
        folder / "predictions.jsonl",
        [{"prediction": "하늘이 매우 푸르다", "reference": "하늘이 푸르다"}, {"prediction": "a b", "reference": "a b"}],
    )


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _table(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write(file: Path, config: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _git(folder: Path) -> None:
    """Two commits, for what compares them."""
    (folder / ".gitignore").write_text("results/\nresources/\nlogs/\nbenchmarks/\n.snakemake/\nassets/\n", encoding="utf-8")
    who = ["-c", "user.name=reader", "-c", "user.email=reader@example.org"]
    for words in (["init", "-q"], ["add", "config"], [*who, "commit", "-qm", "One"], [*who, "commit", "-qm", "Two", "--allow-empty"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
