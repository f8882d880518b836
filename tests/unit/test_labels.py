"""One label, several, or a number: what training rows teach the model's configuration, what is wrong with them, and what is measured."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from polar_tools import discovery, labels, measuring
from polar_tools.errors import DataError
from polar_tools.methods import base
from tests import learning
from tests.training import Trial, sayings

TRAITS = {"cat": ["fur", "claws"], "dog": ["fur", "bark"], "fish": []}
QUICK = {"max_steps": 60, "learning_rate": 3e-3, "per_device_train_batch_size": 12}


def measured(name: str, predictions: list[Any]) -> dict[str, float]:
    module = discovery.load("metrics", name)
    found: dict[str, float] = measuring.figures(predictions, module.Options())
    return found


def test_several_labels_are_learned(assets: Path, tmp_path: Path) -> None:
    rows = [{"text": row["answer"], "labels": TRAITS[row["kind"]]} for row in sayings(assets)[:24]]
    trial = Trial("classification", assets / "assets/bert", rows, tmp_path, **QUICK)
    assert (trial.features["problem_type"], trial.features["id2label"]) == (labels.MULTI, {0: "bark", 1: "claws", 2: "fur"})
    assert sorted({tuple(example["label"]) for example in trial.rendered()}) == [(), (0, 2), (1, 2)]
    before = trial.predict()
    trial.trainer().train()
    after = trial.predict()
    assert {row.reference for row in after} == {"bark\nfur", "claws\nfur", "∅"}
    assert after[0].tokens == 3, "the loss is that of each label"
    names = {"accuracy", "macro_f1", "weighted_f1", "micro_f1", "majority_accuracy", "majority_macro_f1", "ece", "brier", "loss"}
    figures = [{key: value for name in trial.method.METRICS for key, value in measured(name, rows).items()} for rows in (before, after)]
    assert names <= set(figures[1])
    assert figures[0]["accuracy"] < 0.8 < figures[1]["accuracy"]
    assert figures[1]["macro_f1"] > max(0.8, figures[1]["majority_macro_f1"])
    assert figures[1]["loss"] < figures[0]["loss"]


def test_a_number_is_learned(assets: Path, tmp_path: Path) -> None:
    rows = [{"text": row["answer"], "label": {"cat": -1.5, "dog": 0.0, "fish": 2}[row["kind"]]} for row in sayings(assets)[:24]]
    trial = Trial("classification", assets / "assets/bert", rows, tmp_path, problem_type="regression", **QUICK)
    assert trial.features == {"problem_type": "regression", "num_labels": 1}
    assert trial.config.metrics() == ("correlation", "regression", "r2")
    before = measured("regression", trial.predict())
    trial.trainer().train()
    found = trial.predict()
    assert measured("regression", found)["mse"] < 0.5 * before["mse"]
    assert measured("correlation", found)["spearman"] > 0.8
    assert found[0].loss == pytest.approx((found[0].figures["score"] - rows[0]["label"]) ** 2)


PLAN = """\
models: {bert: {source: file://assets/bert}}
datasets:
  traits: {source: file://rows.jsonl, columns: {text: text, label: traits}, split: {test_size: 6, seed: 0}}
  weights: {source: traits, columns: {text: text, label: weight}, split: {test_size: 6, seed: 0}}
evaluations: {traits: {dataset: traits}, weights: {dataset: weights}}
experiments:
  several: {method: cls, model: bert, dataset: traits, evaluations: [traits], max_steps: 2, threads: 1}
  number: {method: cls, problem_type: regression, model: bert, dataset: weights, evaluations: [weights], max_steps: 2, threads: 1}
"""


@pytest.mark.slow
def test_from_a_file_to_a_report(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(assets / "assets", tmp_path / "assets")
    weights = {"cat": 4.5, "dog": 30.25, "fish": 0.5}
    rows = [{"text": row["answer"], "traits": TRAITS[row["kind"]], "weight": weights[row["kind"]]} for row in sayings(assets)[:30]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    learning.run_plan(tmp_path, PLAN, monkeypatch)
    several = learning.report(tmp_path, "seed0", "traits", "several")["metrics"]
    assert {"accuracy", "macro_f1", "micro_f1", "loss"} <= set(several)
    assert {"mse", "mae", "rmse", "r2", "pearson", "spearman"} == set(learning.report(tmp_path, "seed0", "weights", "number")["metrics"])
    counted = json.loads((tmp_path / "results/several/tokenize/report.json").read_bytes())["labels"]
    assert counted["fur"] == counted["bark"] + counted["claws"]
    assert "fur" in (tmp_path / "results/several/tokenize/report.html").read_text(encoding="utf-8")


def test_which_metrics_a_config_takes_by_itself(assets: Path, tmp_path: Path) -> None:
    from polar_tools import config as configs
    from polar_tools.plan import Plan

    (tmp_path / "rows.csv").write_text("text,label\na,1\nb,2\n")
    told = {
        "models": {"m": {"source": f"file://{assets}/assets/bert"}},
        "datasets": {"d": {"source": f"file://{tmp_path}/rows.csv", "split": {"test_size": 1, "seed": 0}}},
        "evaluations": {"e": {"dataset": "d"}},
        "experiments": {
            name: {"method": "cls", "model": "m", "dataset": "d", "evaluations": ["e"], **fields}
            for name, fields in {"number": {"problem_type": "regression"}, "label": {}}.items()
        },
    }
    made = Plan(configs.parse(told)).artifacts
    taken = {name: [metric.name for metric in made[f"results/{name}/base/evaluate/e"].spec.metrics] for name in told["experiments"]}
    assert taken == {
        "number": ["correlation", "regression", "r2"],
        "label": ["accuracy", "f1", "majority", "confusion", "calibration", "loss"],
    }


def learned(values: list[Any], kind: str = labels.SINGLE, num_labels: int | None = None) -> list[str]:
    return list(labels.learned(kind, values, num_labels)["id2label"].values())


def test_whole_numbers_are_in_order() -> None:
    assert learned([10, 2, 1]) == ["1", "2", "10"]
    assert learned([3, 1], num_labels=5) == ["0", "1", "2", "3", "4"], "no training row has the others"
    assert learned(["b", "10", "a"]) == ["10", "a", "b"]


@pytest.mark.parametrize(
    ("values", "kind", "num_labels", "says"),
    [
        ([0, 1, 7, 7], labels.SINGLE, 5, r"num_labels: 5 means the labels 0 to 4, but the training rows have `7` \(2 rows\) too"),
        (["a", "a", "b", "b", "c"], labels.SINGLE, 2, r"num_labels: 2, but .* 3 labels; the rarest are `c` \(1 row\); the filter `values`"),
        (["a", "b"], labels.SINGLE, 3, r"num_labels: 3, but the training rows have only `a` \(1 row\), `b` \(1 row\)"),
        (["a", "a"], labels.SINGLE, None, r"needs at least two labels; the training rows have \['a'\]"),
        ([["a"], ["b"]], labels.SINGLE, None, "single_label_classification doesn't go with a list of labels; `label` holds one"),
        (["a"], labels.MULTI, None, "multi_label_classification doesn't go with the label 'a'"),
        (["good"], labels.REGRESSION, None, "problem_type regression needs numbers, but a `label` is 'good'"),
    ],
)
def test_labels_that_cannot_be_learned(values: list[Any], kind: str, num_labels: int | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        labels.learned(kind, values, num_labels)


def test_the_column_must_be_there(assets: Path, tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "b"}]
    with pytest.raises(DataError, match="multi_label_classification needs the column `labels`; the dataset has `text`, `label`"):
        Trial("classification", assets / "assets/bert", rows, tmp_path, problem_type=labels.MULTI)


def test_a_label_that_training_never_saw_is_named_with_its_row(assets: Path, tmp_path: Path) -> None:
    rows = [{"text": "it purrs", "labels": ["a", "b"]}, {"text": "it barks", "labels": []}]
    trial = Trial("classification", assets / "assets/bert", rows, tmp_path)
    trial.rows = [*rows, {"text": "it swims", "labels": ["a", "z"]}]
    with pytest.raises(base.RowError, match=r"labels \['z'\] do not occur in the training rows") as caught:
        trial.rendered()
    assert caught.value.place == 2


def test_numbers_and_labels_do_not_mix() -> None:
    from polar_tools.methods.classification import Config

    with pytest.raises(ValueError, match="num_labels would be ignored without labels"):
        Config(model="m", dataset="d", problem_type="regression", num_labels=3)
    with pytest.raises(ValueError, match="label_smoothing_factor would be ignored without `problem_type: single"):
        Config(model="m", dataset="d", problem_type="regression", label_smoothing_factor=0.1)
