"""What a config becomes: artifacts, their inputs, and specs that hold no more than their stage may see."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config, specs
from polar_tools.errors import ConfigError
from polar_tools.plan import Plan

DATASETS = {
    "d": {"source": "file://rows.csv", "columns": {"prompt": "p", "completion": "c"}, "split": {"test_size": 1}},
    "again": {"source": "d", "split": {"test_size": 2}},
}


@pytest.fixture(autouse=True)
def local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("p,c\na,b\n")


def plan(decontaminate: dict[str, Any] | None = None, evaluations: tuple[str, ...] = ("e",), **experiments: dict[str, Any]) -> Plan:
    data = {
        "models": {
            "m": {"source": "file://rows.csv"},
            "packed": {"source": "file://rows.csv", "gguf_file": "m.gguf"},
            "unused": {"source": "hf://a/b"},
        },
        "datasets": {name: {**fields, "decontaminate": decontaminate or {}} for name, fields in DATASETS.items()},
        "evaluations": {name: {"dataset": "again"} for name in evaluations},
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
        "results/datasets/again",
        "results/datasets/d/overlap/e",
        "results/x/tokenize",
        "results/x/seed0/train",
        "results/x/base/evaluate/e",
        "results/x/seed0/evaluate/e",
        "results/comparisons/e",
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


@pytest.mark.parametrize(("policy", "remade"), [("report", set()), ("fail", set()), ("drop", {"results/datasets/d/clean"})])
def test_what_a_new_evaluation_remakes(policy: str, remade: set[str]) -> None:
    before, after = (plan({"policy": policy}, evaluations, x={}).artifacts for evaluations in (("e",), ("e", "f")))
    assert {path for path in before if before[path].frozen != after[path].frozen} == remade
    assert set(after) - set(before) == {"results/datasets/d/overlap/f"}


def test_what_is_dropped_is_trained_on_by_nobody() -> None:
    made = plan({"policy": "drop", "evaluations": ["e"]}, ("e", "f"), x={})
    clean = made.artifacts["results/datasets/d/clean"].spec
    assert clean.inputs() == ["results/datasets/d", "results/datasets/d/overlap/e"]
    for stage in ("tokenize", "seed0/train"):
        assert told(made, f"results/x/{stage}")["experiment"]["dataset"] == "results/datasets/d/clean/data"
    assert told(made, "results/x/base/evaluate/e")["test"] == "results/datasets/again/data"
    assert made.gates("results/x/tokenize") == []
    order = list(made.artifacts)
    assert all(order.index(above) < order.index(path) for path, artifact in made.artifacts.items() for above in artifact.spec.inputs())


def test_datasets_that_are_each_others_evaluation_make_no_circle() -> None:
    datasets = {name: {**DATASETS["d"], "decontaminate": {"policy": "drop"}} for name in ("one", "other")}
    data = {
        "models": {"m": {"source": "file://rows.csv"}},
        "datasets": datasets,
        "evaluations": {name: {"dataset": name} for name in datasets},
        "experiments": {
            f"on-{name}": {"method": "sft", "model": "m", "dataset": name, "evaluations": ["one", "other"]} for name in datasets
        },
    }
    made = Plan(config.parse(data))
    assert {path for path in made.artifacts if "overlap" in path} == {
        f"results/datasets/{dataset}/overlap/{evaluation}" for dataset in datasets for evaluation in datasets
    }
    order = list(made.artifacts)
    assert all(order.index(above) < order.index(path) for path, artifact in made.artifacts.items() for above in artifact.spec.inputs())


def test_nothing_is_trained_before_the_overlaps_that_may_end_the_work() -> None:
    made = plan({"policy": "fail", "evaluations": ["f"]}, ("e", "f"), x={})
    gate = ["results/datasets/d/overlap/f/manifest.json"]
    assert made.gates("results/x/tokenize") == made.gates("results/x/seed0/train") == gate
    assert made.gates("results/datasets/d") == made.gates("results/x/base/evaluate/e") == []
    assert gate[0] not in made.inputs("results/x/tokenize")
    assert not plan(x={}).gates("results/x/tokenize")


def test_all_that_a_model_was_trained_on_is_compared_with_what_it_is_measured_on() -> None:
    made = plan(first={"dataset": "again"}, second={"model": "first"})
    overlaps = told(made, "results/report")["experiments"]["second"]["evaluations"]["e"]["overlaps"]
    assert overlaps == {name: f"results/datasets/{name}/overlap/e/training_rows.parquet" for name in ("d", "again")}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"policy": "drop", "evaluations": ["ee"]},
            "datasets.d.decontaminate.evaluations.0: `ee` is not defined in `evaluations`, did you mean `e`?",
        ),
        ({"policy": "dropp"}, "must be 'report', 'drop' or 'fail'"),
        ({"evaluations": ["e"]}, "would be ignored"),
        ({"ngram_size": 1}, "must be at least 2"),
    ],
)
def test_a_mistake_under_decontaminate_is_told(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        plan(fields, ("e", "other"), x={})
