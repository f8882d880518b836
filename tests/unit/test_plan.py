"""What a config becomes: artifacts, their inputs, and specs that hold no more than their stage may see."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config, specs
from polar_tools.plan import Plan

DATASETS = {
    "d": {"source": "file://rows.csv", "columns": {"prompt": "p", "completion": "c"}, "split": {"test_size": 1}},
    "again": {"source": "d", "split": {"test_size": 2}},
}


@pytest.fixture(autouse=True)
def local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("p,c\na,b\n")


def plan(**experiments: dict[str, Any]) -> Plan:
    data = {
        "models": {
            "m": {"source": "file://rows.csv"},
            "packed": {"source": "file://rows.csv", "gguf_file": "m.gguf"},
            "unused": {"source": "hf://a/b"},
        },
        "datasets": DATASETS,
        "evaluations": {"e": {"dataset": "again"}},
        "experiments": {
            name: {"method": "sft", "model": "m", "dataset": "d", "evaluations": ["e"], **fields} for name, fields in experiments.items()
        },
    }
    return Plan(config.parse(data))


def told(plan: Plan, path: str) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(plan.artifacts[path].frozen)
    return spec


def test_only_what_is_used_is_planned() -> None:
    assert list(plan(x={}).artifacts) == [
        "resources/models/m",
        "resources/datasets/d",
        "results/datasets/d",
        "results/x/tokenize",
        "results/x/seed0/train",
        "results/datasets/again",
        "results/x/base/evaluate/e",
        "results/x/seed0/evaluate/e",
        "results/report",
    ]


def test_datasets_of_one_source_share_its_mirror() -> None:
    assert plan(x={}).artifacts["results/datasets/again"].spec.inputs() == ["resources/datasets/d"]


def test_packed_model_is_converted_first() -> None:
    made = plan(x={"model": "packed"})
    assert made.artifacts["results/models/packed"].spec.inputs() == ["resources/models/packed"]
    assert "results/models/packed" in made.artifacts["results/x/tokenize"].spec.inputs()


def test_local_files_are_inputs_of_their_mirror() -> None:
    assert plan(x={}).inputs("resources/datasets/d") == ["rows.csv"]


def test_seeds_share_what_they_can_and_pair_up() -> None:
    made = plan(first={"model": "second", "seeds": [1, 2]}, second={"seeds": [1, 2]})
    assert made.artifacts["results/first/seed2/train"].spec.inputs() == [
        "results/datasets/d",
        "results/first/tokenize",
        "results/second/seed2/train",
    ]
    order = list(made.artifacts)
    assert all(order.index(above) < order.index(path) for path, artifact in made.artifacts.items() for above in artifact.spec.inputs())
    assert set(made.states().values()) == {"to make"}


def test_each_stage_sees_only_its_slice() -> None:
    made = plan(x={"learning_rate": 0.5, "max_length": 7, "dtype": "bfloat16", "seeds": [3]})
    tokenize, train = told(made, "results/x/tokenize")["experiment"], told(made, "results/x/seed3/train")["experiment"]
    evaluate = told(made, "results/x/base/evaluate/e")["experiment"]
    assert tokenize["max_length"] == train["max_length"] == evaluate["max_length"] == 7
    assert "dtype" not in tokenize
    assert train["dtype"] == evaluate["dtype"] == "bfloat16"
    assert train["learning_rate"] == 0.5
    assert "learning_rate" not in tokenize | evaluate
    assert not {"seeds", "evaluations"} & set(tokenize | train | evaluate)


def test_every_spec_reads_back_as_it_was_written() -> None:
    for artifact in plan(x={"model": "packed"}).artifacts.values():
        assert specs.freeze(specs.thaw(artifact.frozen, "spec.json")) == artifact.frozen


def test_settle_writes_only_what_differs(tmp_path: Path) -> None:
    plan(x={}).settle(tmp_path)
    train, prepare = tmp_path / "results/x/seed0/train/spec.json", tmp_path / "results/datasets/d/spec.json"
    for file in (train, prepare):
        os.utime(file, (1, 1))
    plan(x={"learning_rate": 0.5}).settle(tmp_path)
    assert prepare.stat().st_mtime == 1
    assert train.stat().st_mtime > 1
    assert not list(tmp_path.rglob("*.tmp"))
