"""`polar-tools new-method`: what it prints is a method as soon as it lies among the others."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.tiny import REPOSITORY, inside, run


@pytest.mark.slow
def test_what_it_prints_trains_and_is_measured(tmp_path: Path, assets: Path) -> None:
    """In a copy of the package, so that no other test sees it."""
    shutil.copytree(REPOSITORY / "polar_tools", tmp_path / "polar_tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(assets / "assets", tmp_path / "assets")
    printed = inside("new-method", "word_by_word", cwd=tmp_path)
    assert printed.returncode == 0 and "polar_tools/methods/word_by_word.py" in printed.stderr
    (tmp_path / "polar_tools/methods/word_by_word.py").write_text(printed.stdout, encoding="utf-8")
    rows = "\n".join(json.dumps({"text": f"the cat {number} purrs"}) for number in range(20))
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    words = ["--method", "word_by_word", "--model-name-or-path", "assets/llama", "--train-data", "rows.jsonl", "--output-dir", "out"]
    words += [
        "--do-eval",
        "--train-test-split-ratio",
        "0.2",
        "--max-steps",
        "20",
        "--learning-rate",
        "1e-2",
        "--threads",
        "1",
        "--preflight",
        "off",
    ]
    done = run(sys.executable, "-m", "polar_tools", "train", *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    log = [json.loads(line) for line in (tmp_path / "out/results/training/seed0/train/metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0] - 1
    helped = run(sys.executable, "-m", "polar_tools", "train", "--method", "word_by_word", "--help", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert "--neftune-noise-alpha" in helped.stdout and "Fields of word_by_word" in helped.stdout
    model = ["evaluate", "--model", "out/model", "--test-data", "rows.jsonl", "--output", "measured"]
    measured = run(sys.executable, "-m", "polar_tools", *model, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert measured.returncode == 0 and "token_accuracy" in measured.stdout, measured.stderr


@pytest.mark.parametrize(
    ("name", "says"), [("sft", "there is a method `sft` already"), ("My-Method", "can't be the name of a Python file")]
)
def test_names_that_can_not_be(name: str, says: str, tmp_path: Path) -> None:
    done = inside("new-method", name, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and not done.stdout
