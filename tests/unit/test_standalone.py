"""`polar-tools train` and `polar_tools.train` without a workflow: one CSV in, one model out."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq

import polar_tools
from polar_tools import config as configs
from polar_tools.cli import group
from polar_tools.errors import ConfigError, UserError
from tests.tiny import run

TRACKED = ["--tracker", "tensorboard", "-o", "tensorboard.log_dir=events"]
SHORT = ["--max-steps", "2", "--threads", "1", "--logging-steps", "1"]


def train(*words: str, method: str = "sft", output: str = "out") -> Result:
    given = ["--method", method, "--model-name-or-path", "llama", "--train-data", "rows.csv", "--output-dir", output]
    return CliRunner().invoke(group, ["train", *given, *SHORT, *words])


def fails(*words: str, **given: str) -> str:
    """What a person reads of a training that can't be."""
    rest = ["--method", given.get("method", "sft"), "--model-name-or-path", given.get("model", "llama"), "--train-data", "rows.csv"]
    done = run("polar-tools", "train", *rest, "--output-dir", "out", *SHORT, *words, cwd=Path())
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_a_csv_becomes_a_model(here: Path) -> None:
    done = train("--learning-rate", "1e-3", "--use_peft", "--lora-r", "2", "--seeds", "3", "--train-test-split-ratio", "0.25", *TRACKED)
    assert done.exit_code == 0, done.output
    assert list((here / "out/events/training/seed3").rglob("events.out.tfevents.*"))
    assert done.stdout.splitlines()[-1] == "out/model is the trained model"
    spec = json.loads((here / "out/results/training/seed3/train/spec.json").read_bytes())["experiment"]
    assert (spec["learning_rate"], spec["use_peft"], spec["lora_r"], spec["max_steps"]) == (0.001, True, 2, 2)
    assert (here / "out/model/adapter_config.json").is_file()
    config = configs.load(here / "out/config.yaml")
    assert config.experiments["training"].seeds == (3,)
    assert config.datasets["data"].train_test_split_ratio == 0.25
    assert (
        "up to date"
        in train(*("--learning-rate", "1e-3", "--use_peft", "--lora-r", "2", "--seeds", "3", "--train-test-split-ratio", "0.25")).output
    )


def test_a_finished_folder_is_not_touched_unless_told(here: Path) -> None:
    assert train().exit_code == 0
    before = (here / "out/model/model.safetensors").read_bytes()
    assert "out holds a finished training with other settings" in fails("--learning-rate", "1e-3")
    assert (here / "out/model/model.safetensors").read_bytes() == before
    assert train("--learning-rate", "1e-3", "--overwrite-output-dir").exit_code == 0
    assert (here / "out/model/model.safetensors").read_bytes() != before


def test_options_stand_in_a_file_too(here: Path) -> None:
    told = {"method": "sft", "model_name_or_path": "llama", "train_data": "rows.csv", "max_steps": 1, "learning_rate": 0.5}
    (here / "train.yaml").write_text(yaml.safe_dump({**told, "filters": ["missing"]}))
    done = CliRunner().invoke(
        group, ["train", "--config", "train.yaml", "--output-dir", "out", "--learning-rate", "0.25", "--seeds", "1,2", "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    spec = json.loads((here / "out/results/training/seed2/train/spec.json").read_bytes())["experiment"]
    assert (spec["learning_rate"], spec["max_steps"]) == (0.25, 1)
    assert [step["name"] for step in json.loads((here / "out/results/datasets/data/spec.json").read_bytes())["filters"]] == ["missing"]


def test_from_python_with_objects_and_rows(here: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(here / "llama", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(here / "llama", local_files_only=True)
    rows = [{"prompt": f"{number}?", "completion": "예"} for number in range(8)]
    made = polar_tools.train(model, rows, here / "python", tokenizer=tokenizer, method="instruct", max_steps=1, threads=1)
    assert made["final_model_path"] == str(here / "python/model")
    assert (
        AutoModelForCausalLM.from_pretrained(made["final_model_path"], local_files_only=True).config.vocab_size == model.config.vocab_size
    )
    assert Path.cwd() == here


@pytest.mark.slow
def test_from_python_with_a_collator_of_ones_own(here: Path) -> None:
    def train(**more: Any) -> dict[str, Any]:
        return polar_tools.train("llama", "rows.csv", "out", method="sft", max_steps=1, threads=1, data_collator=collator, **more)

    collator = Counting(AutoTokenizer.from_pretrained(here / "llama", local_files_only=True))
    train()
    assert collator.batches > 0
    record = json.loads((here / "out/results/training/seed0/train/record.json").read_bytes())
    assert record["facts"]["data_collator"].endswith(".Counting")
    with pytest.raises(UserError, match="holds a finished training"):
        train()
    before = collator.batches
    train(overwrite_output_dir=True)
    assert collator.batches > before


class Counting(DataCollatorForSeq2Seq):
    """A collator that says how often it was called."""

    batches = 0

    def __call__(self, features: Any, return_tensors: Any = None) -> Any:
        self.batches += 1
        return super().__call__(features, return_tensors)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"learning_rat": 1}, ConfigError, "unknown field `learning_rat`, did you mean `learning_rate`"),
        ({"learning_rate": "fast"}, ConfigError, "learning_rate"),
        ({"tokenizer": object()}, ConfigError, "`tokenizer` goes with a model that is an object"),
        ({"train_data": "row.csv"}, UserError, "there is no row.csv here"),
    ],
)
def test_from_python_what_is_wrong_is_said(fields: dict[str, Any], error: type[Exception], says: str, here: Path) -> None:
    with pytest.raises(error, match=says):
        polar_tools.train(**{"model_name_or_path": "llama", "train_data": "rows.csv", "output_dir": "x", "method": "sft", **fields})


def test_messages(here: Path) -> None:
    assert "--learning-rate" in fails("--learning-rat", "1")
    assert "there is no `sfd` in methods, did you mean `sft`" in fails(method="sfd")
    assert "there is no nowhere here, and it is no repository of the Hub" in fails(model="nowhere")
    assert "lora_r would be ignored without `use_peft: true`" in fails("--lora-r", "4")
    assert "learning_rate" in fails("--learning-rate", "fast")
