"""Tasks of lm-evaluation-harness on local rows: planned, measured, reported, and refused where they can't be."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config as configs
from polar_tools import measuring
from polar_tools.errors import ConfigError
from polar_tools.metrics import tasks
from polar_tools.metrics.base import Prediction
from polar_tools.plan import Plan
from tests import learning
from tests.tiny import ANIMALS, inside

ROWS = [
    {"question": f"what does the {kind} number {number} do?", "choices": [f"it {does}" for does in ANIMALS.values()], "answer": place}
    for number in range(2)
    for place, kind in enumerate(ANIMALS)
]
CHOOSE = """\
task: choose
dataset_path: json
dataset_kwargs: {data_files: {test: tasks/rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}, {metric: acc_norm, aggregation: mean, higher_is_better: true}]
metadata: {version: 2.0}
"""
CONFIG = """\
models: {llama: {source: file://assets/llama}}
datasets:
  sayings: {source: file://assets/rows.csv, columns: {prompt: question, completion: answer}, split: {test_size: 12, seed: 0}}
evaluations: {animals: {tasks: [choose], include_path: tasks}}
experiments:
  say: {method: sft, model: llama, dataset: sayings, evaluations: [animals], max_steps: 80, per_device_train_batch_size: 8,
        learning_rate: 1.0e-2, threads: 1}
"""


@pytest.fixture
def folder(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(assets / "assets", tmp_path / "assets")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/choose.yaml").write_text(CHOOSE)
    (tmp_path / "tasks/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(text: str) -> Plan:
    Path("config.yaml").write_text(text, encoding="utf-8")
    return Plan(configs.load(Path("config.yaml")))


def found(run: str) -> tuple[dict[str, Any], list[Prediction]]:
    made = Path(f"results/say/{run}/harness/animals")
    lines = (made / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads((made / "report.json").read_bytes()), [Prediction(**json.loads(line)) for line in lines]


def least_loss(model: str) -> list[str]:
    """The answer to each question that the model finds the most probable, by the losses of our own evaluations."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from polar_tools.inference import reference_losses

    loaded, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    best = []
    for row in ROWS:
        examples = []
        for answer in row["choices"]:
            asked, both = tokenizer(row["question"])["input_ids"], tokenizer(row["question"] + answer)["input_ids"]
            examples.append({"input_ids": both, "labels": [-100] * len(asked) + both[len(asked) :]})
        losses = [one.loss for one in reference_losses(loaded, examples)]
        best.append(row["choices"][losses.index(min(losses))])
    return best


@pytest.mark.slow
def test_a_task_on_local_rows(folder: Path) -> None:
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    learning.make("config.yaml")
    right = [row["choices"][row["answer"]] for row in ROWS]
    for run, model in {"base": "assets/llama", "seed0": "results/say/seed0/train/model"}.items():
        report, predictions = found(run)
        assert [one.prediction for one in predictions] == least_loss(model)
        assert [one.reference for one in predictions] == right
        accuracy = sum(one == other for one, other in zip(least_loss(model), right, strict=True)) / len(right)
        assert report["metrics"]["choose/acc"] == pytest.approx(accuracy)
        assert measuring.figures(predictions, tasks.Options()) == pytest.approx(report["metrics"])
        assert report["given_by"] == {"choose/acc": "task", "choose/acc_norm": "task"}
        assert report["settings"]["tasks"]["choose"] == {"version": 2.0, "num_fewshot": 0}
        assert report["intervals"]["choose/acc"][0] <= report["metrics"]["choose/acc"] <= report["intervals"]["choose/acc"][1]
        assert report["rows"] == len({one.row for one in predictions}) == len(ROWS)
    assert [one.row for one in found("base")[1]] == [one.row for one in found("seed0")[1]]
    assert found("seed0")[0]["metrics"]["choose/acc"] > found("base")[0]["metrics"]["choose/acc"]
    assert json.loads(Path("results/report/metrics.json").read_bytes())["say"]["animals"]["seed0"] == found("seed0")[0]["metrics"]
    assert json.loads(Path("results/say/base/harness/animals/record.json").read_bytes())["versions"]["lm-eval"]
    assert inside("verify", "results/say/seed0/harness/animals", cwd=folder).returncode == 0
    (folder / "tasks/rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    states = plan(CONFIG).states()
    assert [path for path, state in states.items() if state == "to make"] == [
        *(f"results/say/{run}/harness/animals" for run in ("base", "seed0")),
        *("results/comparisons/animals", "results/report"),
    ]


@pytest.mark.slow
def test_a_task_that_there_is_not(folder: Path) -> None:
    """All tasks of lm-evaluation-harness are listed for it, which takes long."""
    from polar_tools.stages import harness

    spec = plan(CONFIG.replace("[choose]", "[arc_easyy]")).artifacts["results/say/base/harness/animals"].spec
    with pytest.raises(ConfigError, match="there is no `arc_easyy` in lm-evaluation-harness, did you mean `arc_easy`"):
        harness.run(spec, folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tasks: [choose]", "dataset: sayings, tasks: [choose]", "and not both"),
        ("tasks: [choose], include_path: tasks", "seed: 1", "name the `dataset` whose test rows are measured, or `tasks`"),
        ("tasks: [choose], include_path: tasks", "dataset: sayings, limit: 3", "limit would be ignored: they belong to `tasks`"),
        ("tasks: [choose]", "metrics: [rouge], tasks: [choose]", "metrics would be ignored: tasks say themselves"),
        ("method: sft", "method: reward", "`animals` has tasks .*which `reward` trains no model for; these do: causal_lm, dpo"),
        ("include_path: tasks", "include_path: nowhere", "there is no task .* in nowhere"),
        ("split: {", "decontaminate: {policy: drop, evaluations: [animals]}, split: {", "`animals` has tasks in place of rows"),
    ],
)
def test_what_cannot_be_measured_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    assert old in CONFIG
    with pytest.raises(ConfigError, match=message):
        made = plan(CONFIG.replace(old, new))
        made.inputs("results/say/base/harness/animals")


def test_without_the_harness(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polar_tools.stages import harness

    spec = plan(CONFIG).artifacts["results/say/base/harness/animals"].spec
    monkeypatch.setattr(harness, "OPTIONAL", ())
    with pytest.raises(ConfigError, match=r"pip install 'polar-tools\[harness\]'"):
        harness.run(spec, folder)
