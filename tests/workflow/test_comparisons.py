"""Comparisons that the workflow makes: before and after, and with references, and what of it is made anew."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.workflow.test_jobs import edit, planned

REFERRED = edit(
    ("  bert: {source: file://assets/bert}\n", "  bert: {source: file://assets/bert}\n  rival: {source: file://assets/llama}\n"),
    ("    metrics: [rouge, loss]\n", "    metrics: [rouge, loss]\n    references: [rival, mine.jsonl]\n"),
)


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_the_workflow_compares_before_and_after_as_a_person_would(finished: Path) -> None:
    for evaluation, experiment in (("sayings", "say"), ("kinds", "sort")):
        made = read(finished / f"results/comparisons/{evaluation}/report.json")
        done = tiny.inside("compare", f"{experiment}:base", experiment, "--json", cwd=finished)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == made
        lines = (finished / f"results/comparisons/{evaluation}/comparison.csv").read_text().splitlines()
        assert lines[0].startswith("part,rows,baseline,other,figure,")
        assert lines[1].startswith(f"all,12,{experiment}:base,{experiment},")


def test_every_evaluation_has_intervals_around_its_figures(finished: Path) -> None:
    report = read(finished / "results/say/seed0/evaluate/sayings/report.json")
    assert set(report["intervals"]) == set(report["metrics"])
    assert all(low - 1e-5 <= report["metrics"][name] <= high + 1e-5 for name, (low, high) in report["intervals"].items())
    assert report["resampling"] == {"samples": 1000, "seed": 0}
    assert read(finished / "results/say/seed0/evaluate/sayings/record.json")["facts"]["intervals"] == report["intervals"]


@pytest.mark.slow
def test_references_are_measured_and_compared_and_nothing_else_is_made(project: Path) -> None:
    (project / "mine.jsonl").write_bytes((project / "results/say/seed0/evaluate/sayings/predictions.jsonl").read_bytes())
    REFERRED(project)
    reference = "results/references/say/rival"
    compared = {"results/comparisons/sayings", "results/report"}
    assert planned(project) == {"resources/models/rival", f"{reference}/tokenize", f"{reference}/base/evaluate/sayings", *compared}
    done = tiny.run("snakemake", cwd=project)
    assert done.returncode == 0, done.stderr
    assert planned(project) == set()
    pairs = {(one["baseline"], one["other"]): one["figures"] for one in read(project / "results/comparisons/sayings/report.json")["pairs"]}
    assert list(pairs) == [("say:base", "say"), ("rival", "say"), ("mine", "say")]
    assert pairs["rival", "say"]["loss"]["difference"] == pairs["say:base", "say"]["loss"]["difference"]
    assert pairs["mine", "say"]["loss"]["interval"] == [0, 0]
    lines = (project / "mine.jsonl").read_text().splitlines()
    (project / "mine.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    assert planned(project) == compared
