"""Rows that overlap with an evaluation: reported, left out, or the end of the work, as Snakemake runs it."""

import json
from pathlib import Path

import pytest

from polar_tools.datasets import read_rows
from tests.tiny import run

LIKENESS = "    decontaminate: {policy: POLICY, evaluations: [sayings]}\n"
TOKENS = "results/say/tokenize/manifest.json"


@pytest.fixture
def repeated(fresh: Path) -> Path:
    """A project in which rows of the source stand twice, and so some on both sides of the split."""
    file = fresh / "assets/rows.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines, *lines[1:31]]), encoding="utf-8")
    return fresh


def choose(project: Path, policy: str) -> None:
    config = project / "config/config.yaml"
    split = "    split: {test_size: 12, seed: 0}\n"
    text = config.read_text(encoding="utf-8")
    assert split in text
    config.write_text(text.replace(split, split + LIKENESS.replace("POLICY", policy)), encoding="utf-8")


def questions(project: Path, folder: str, part: str) -> list[str]:
    return [row["prompt"] for row in read_rows(project / folder, part)]


def test_drop_trains_without_the_rows_that_overlap_and_measures_on_all(repeated: Path) -> None:
    choose(repeated, "drop")
    done = run("snakemake", TOKENS, cwd=repeated)
    assert done.returncode == 0, done.stderr
    prepared, clean = "results/datasets/sayings/data", "results/datasets/sayings/clean/data"
    test = questions(repeated, prepared, "test")
    assert questions(repeated, clean, "test") == test
    shared = [question for question in questions(repeated, prepared, "train") if question in test]
    kept = [question for question in questions(repeated, prepared, "train") if question not in test]
    report = json.loads((repeated / "results/datasets/sayings/clean/report.json").read_bytes())
    assert shared and report == {"rows": 90, "dropped": len(shared), "by_evaluation": {"sayings": len(shared)}}
    assert questions(repeated, clean, "train") == kept
    assert json.loads((repeated / "results/say/tokenize/report.json").read_bytes())["rows"] == len(kept)
    assert run("polar-tools", "verify", "results", cwd=repeated).returncode == 0
    assert "Nothing to be done" in run("snakemake", "-n", TOKENS, cwd=repeated).stdout


def test_fail_ends_the_work_before_anything_is_trained(repeated: Path) -> None:
    choose(repeated, "fail")
    done = run("snakemake", TOKENS, cwd=repeated)
    assert done.returncode == 1
    assert "overlap with" in done.stdout + done.stderr and "policy: drop" in done.stdout + done.stderr
    made = repeated / "results/datasets/sayings/overlap/sayings"
    assert (made / "report.html").is_file() and not (made / "manifest.json").exists()
    assert not (repeated / TOKENS).exists()
