"""Which work a change causes: first as Snakemake plans it, then as the tools do it where Snakemake knows nothing.

In the second form the project was copied without .snakemake and with shuffled file times. Jobs may start there that find
nothing to do; only what they make is counted.
"""

import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tiny import run

SAY_AFTER_PREPARE = {
    "results/say/tokenize",
    "results/say/seed0/train",
    "results/say/base/evaluate/sayings",
    "results/say/seed0/evaluate/sayings",
    "results/comparisons/sayings",
    "results/report",
}
SAYINGS_OVERLAPS = (
    "results/datasets/sayings/overlap/sayings",
    "results/datasets/sayings/overlap/kinds",
    "results/datasets/kinds/overlap/sayings",
)
SHORT_OVERLAPS = ("results/datasets/sayings/overlap/short", "results/datasets/kinds/overlap/short")
SORT_AFTER_PREPARE = {
    "results/sort/tokenize",
    "results/sort/seed0/train",
    "results/sort/base/evaluate/kinds",
    "results/sort/seed0/evaluate/kinds",
    "results/comparisons/kinds",
    "results/report",
}


@dataclass(frozen=True)
class Change:
    """What is done to a finished project; the jobs that it plans, and of these the ones that make something."""

    name: str
    do: Callable[[Path], None]
    planned: set[str] = field(default_factory=set)
    made: set[str] | None = None


def edit(*replacements: tuple[str, str], file: str = "config/config.yaml") -> Callable[[Path], None]:
    def do(project: Path) -> None:
        text = (project / file).read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        (project / file).write_text(text, encoding="utf-8")

    return do


def reorder(project: Path) -> None:
    """The same config with its sections and keys in another order, other spacing and a comment."""
    path = project / "config" / "config.yaml"
    sections = re.split(r"^(?=\w)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    text = "# another order\n\n" + "\n".join(reversed(sections))
    path.write_text(text.replace("{prompt: question, completion: answer}", "{completion:   answer, prompt: question}"), encoding="utf-8")


def dry_run_and_revert(project: Path) -> None:
    path = project / "config" / "config.yaml"
    before = path.read_text(encoding="utf-8")
    edit(("max_steps: 4", "max_steps: 6"))(project)
    assert planned(project)
    path.write_text(before, encoding="utf-8")


def delete(name: str) -> Callable[[Path], None]:
    return lambda project: (project / name).unlink()


CHANGES = [
    Change("nothing", lambda project: None),
    Change(
        "learning rate of one experiment",
        edit(("learning_rate: 1.0e-2\n    use_peft", "learning_rate: 2.0e-2\n    use_peft")),
        {"results/say/seed0/train", "results/say/seed0/evaluate/sayings", "results/comparisons/sayings", "results/report"},
    ),
    Change(
        "filter of a shared dataset",
        edit(
            (
                "filters: [missing]\n    split: {test_size: 12, seed",
                "filters: [missing, {name: sample, rows: 50}]\n    split: {test_size: 12, seed",
            )
        ),
        {"results/datasets/sayings", *SAYINGS_OVERLAPS} | SAY_AFTER_PREPARE,
    ),
    Change(
        "one row of a local file",
        edit(("cat number 7 do?,it purrs softly", "cat number 7 do?,it purrs loudly"), file="assets/rows.csv"),
        {"resources/datasets/sayings", "results/datasets/sayings", "results/datasets/kinds", "results/datasets/kinds/overlap/kinds"}
        | {*SAYINGS_OVERLAPS}
        | SAY_AFTER_PREPARE
        | SORT_AFTER_PREPARE,
    ),
    Change("key order, comments and spaces", reorder),
    Change(
        "a new evaluation",
        edit(
            ("evaluations:\n  sayings:", "evaluations:\n  short: {dataset: sayings, metrics: [loss]}\n  sayings:"),
            ("evaluations: [sayings]", "evaluations: [sayings, short]"),
        ),
        {
            "results/say/base/evaluate/short",
            "results/say/seed0/evaluate/short",
            "results/comparisons/short",
            "results/report",
            *SHORT_OVERLAPS,
        },
    ),
    Change(
        "a new evaluation with which nothing may overlap",
        edit(
            ("evaluations:\n  sayings:", "evaluations:\n  short: {dataset: sayings, metrics: [loss]}\n  sayings:"),
            (
                "seed: 0}\n  kinds:",
                "seed: 0}\n    decontaminate: {policy: fail, evaluations: [short]}\n  kinds:",
            ),
        ),
        {*SHORT_OVERLAPS},
    ),
    Change(
        "anything under run",
        edit(("nothing here changes a result", "a note"), ("run:\n", "run:\n  resources: {train: {mem_mb: 1, runtime: 2}}\n")),
    ),
    Change(
        "an expectation",
        edit(("split: {test_size: 12, seed: 0}", "split: {test_size: 12, seed: 0}\n    expect: {rows: {min: 72}}")),
        {"results/datasets/sayings/expect"},
    ),
    Change(
        "a model file is deleted",
        delete("results/sort/seed0/train/model/model.safetensors"),
        {"results/sort/seed0/train", "results/sort/seed0/evaluate/kinds", "results/comparisons/kinds", "results/report"},
        made={"results/sort/seed0/train"},
    ),
    Change("an edit that was only dry-run and then reverted", dry_run_and_revert),
]


def planned(project: Path) -> set[str]:
    """The artifacts for which `snakemake -n` would start a job."""
    done = run("snakemake", "-n", cwd=project)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^    output: (.*)/manifest\.json$", done.stdout + done.stderr, re.MULTILINE))


def shuffle_times(project: Path) -> None:
    chance = random.Random(1)
    for path in sorted(project.rglob("*")):
        if path.is_file():
            moment = 1_700_000_000_000_000_000 + chance.randrange(10**16)
            os.utime(path, ns=(moment, moment))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_change_plans_exactly_its_jobs(project: Path, change: Change) -> None:
    change.do(project)
    assert planned(project) == change.planned


SLOW = {
    "learning rate of one experiment",
    "filter of a shared dataset",
    "one row of a local file",
    "a new evaluation",
    "anything under run",
    "key order, comments and spaces",
}
"""Changes like others of which something is made anew, or nothing."""


@pytest.mark.parametrize(
    "change", [pytest.param(change, id=change.name, marks=[pytest.mark.slow] * (change.name in SLOW)) for change in CHANGES]
)
def test_change_makes_exactly_its_artifacts_where_snakemake_knows_nothing(project: Path, change: Change) -> None:
    change.do(project)
    for folder in (".snakemake", "logs", "benchmarks"):
        shutil.rmtree(project / folder)
    shuffle_times(project)
    done = run("snakemake", cwd=project)
    assert done.returncode == 0, done.stderr
    said = [log.read_text(encoding="utf-8").splitlines()[-1] for log in sorted(project.glob("logs/**/*.log"))]
    made = {line.split(": made in")[0] for line in said if ": made in" in line}
    assert made == (change.planned if change.made is None else change.made)
    assert all(": made in" in line or line.endswith(": up to date") for line in said)
    assert planned(project) == set()
