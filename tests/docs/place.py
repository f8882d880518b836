"""A reader's folder: everything that the commands of the documentation name lies in it, small, so that they run as they are printed."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests import tiny
from tests.docs import pages
from tests.tiny import REPOSITORY

TOPICS = {"cat": "Animals", "dog": "Animals and people", "fish": "Nature"}
MODELS = ("org/name", "ORG/NAME", "smollm2/model")
"""What stands for a repository's name, or a model that was fetched: a folder of that name comes first."""
SMALL = {
    "describe": {"max_steps": 4, "threads": 1, "save_steps": 2, "max_length": None, "on_too_long": "fail"},
    "topics": {"num_train_epochs": 1, "threads": 1},
}


BESIDES = ("examples", ".dvc", ".dvcignore", "Makefile", "pyproject.toml")
FOREIGN = {
    "trainer.env": "polar_trainer.env",
    "base.yaml": "model_trainer/base.yaml",
    "experiment.yaml": "model_trainer/experiment.yaml",
    "run.sh": "autotrain/sft.sh",
}
"""What people bring along -> the sample of it in tests/foreign."""


def make(folder: Path, assets: Path) -> None:
    """The default run's project on tiny models and rows, with the other files that pages speak of; nothing has been made in it."""
    folder.mkdir()
    for name in (*tiny.WORKFLOW_FILES, *BESIDES):
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)
    shutil.copytree(assets / "assets", folder / "assets")
    (folder / "config").mkdir()
    for name in ("config/config.yaml", "config.yaml", "my.yaml"):
        _write(folder / name, _config())
    _write(folder / "dvc.yaml", _stages())
    _rows(folder)
    _support(folder / "data")
    for name, sample in FOREIGN.items():
        shutil.copy(REPOSITORY / "tests/foreign" / sample, folder / name)
    for name in MODELS:
        shutil.copytree(folder / "assets/llama", folder / name)
    shutil.copytree(folder / "assets/bert", folder / "minilm")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "FOLDER").symlink_to("published")
    key = "openssl ecparam -name prime256v1 -genkey -noout -out signer.key && openssl ec -in signer.key -pubout -out signer.pem"
    subprocess.run(["bash", "-c", key], cwd=folder, check=True, capture_output=True)
    _git(folder)


def live_in(folder: Path) -> None:
    """Make all that the project's config asks for."""
    done = tiny.run("snakemake", cwd=folder)
    assert done.returncode == 0, done.stderr


def lay_configs(page: str, folder: Path) -> None:
    """The configs that a page shows under a file's name, each smaller, and for a machine without GPUs."""
    for block in pages.blocks(page, "yaml"):
        if block.title:
            told = yaml.safe_load(block.text)
            for experiment in {} if block.foreign else told.get("experiments", {}).values():
                experiment |= {"gpus": 0, "threads": 1, "num_train_epochs": 1}
            _write(folder / block.title, told)


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
    told["run"] = {"trackers": ["tensorboard"]}
    told["publish"] = {"model": {"experiment": "describe", "folder": "published", "sign": "signer.key", "licenses": LICENCES}}
    return dict(told)


def _stages() -> dict[str, Any]:
    """dvc.yaml without the stage of models that are converted: here none is."""
    told = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
    del told["stages"]["models"]
    told["stages"]["experiment"]["do"]["deps"].remove("results/models")
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


def _support(folder: Path) -> None:
    """data/: questions and answers as other programs' examples have them."""
    folder.mkdir()
    told = [(f"What does animal {number} do?", f"It sleeps for {number} hours.") for number in range(24)]
    for name, part in {"train.csv": told[:18], "valid.csv": told[18:]}.items():
        _table(folder / name, [{"text": f"{question} {answer}"} for question, answer in part])
    _lines(folder / "dialogues.jsonl", [{"messages": [_turn("user", question), _turn("assistant", answer)]} for question, answer in told])
    rows = [{"instruction": question, "input": "", "output": answer} for question, answer in told]
    (folder / "support.json").write_text(json.dumps(rows), encoding="utf-8")


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
    ignored = ("results/", "resources/", "logs/", "benchmarks/", ".snakemake/", "assets/", ".venv", "published", "FOLDER")
    (folder / ".gitignore").write_text("\n".join(ignored), encoding="utf-8")
    who = (["config", "user.name", "reader"], ["config", "user.email", "reader@example.org"])
    for words in (["init", "-q"], *who, ["add", "config"], ["commit", "-qm", "One"], ["commit", "-qm", "Two", "--allow-empty"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
