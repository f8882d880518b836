"""`preset: auto`, and the presets that it chooses from, on rows that ask for the one or the other."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from polar_tools.cli import group
from tests.tiny import inside

SMALL = {"lora_r": 4, "lora_alpha": 8, "learning_rate": 2e-4, "num_train_epochs": 20}
LARGE = {"lora_r": 8, "lora_alpha": 16, "learning_rate": 1e-4, "num_train_epochs": 10}
TRAINING = "out/results/training/seed0/train"


@pytest.fixture
def here(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and rows."""
    shutil.copytree(assets / "assets/llama", tmp_path / "llama")
    rows(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(here: Path, count: int) -> None:
    lines = (json.dumps({"prompt": f"what is {number}", "completion": f"it is {number}"}) for number in range(count))
    (here / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")


def train(*words: str) -> Result:
    given = ["--method", "sft", "--model-name-or-path", "llama", "--train-data", "rows.jsonl", "--output-dir", "out"]
    done = CliRunner().invoke(group, ["train", *given, "--max-steps", "1", "--threads", "1", "--preflight", "off", *words])
    assert done.exit_code == 0, done.output
    return done


def told(name: str) -> Any:
    return json.loads(Path(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("count", "name", "values"), [(20, "small-dataset", SMALL), (1000, "large-dataset", LARGE)])
def test_auto_takes_what_the_rows_ask_for_and_says_so(count: int, name: str, values: dict[str, Any], here: Path) -> None:
    rows(here, count)
    done = train("--preset", "auto")
    reason = f"{count:,} rows of "
    assert f"preset auto takes {name}: {reason}" in done.output
    assert told(f"{TRAINING}/record.json")["facts"]["preset"]["name"] == name
    adapter = told("out/model/adapter_config.json")
    assert (adapter["r"], adapter["lora_alpha"]) == (values["lora_r"], values["lora_alpha"])
    assert "learning_rate" in told(f"{TRAINING}/spec.json")["left_to_rows"]
    assert told("out/results/training/tokenize/spec.json")["experiment"]["max_length"] is None


def test_what_the_experiment_says_counts_more(here: Path) -> None:
    train("--preset", "auto", "--lora-r", "2")
    assert told("out/model/adapter_config.json")["r"] == 2
    assert told(f"{TRAINING}/spec.json")["left_to_rows"] == ["learning_rate", "lora_alpha", "num_train_epochs"]


def test_without_an_adapter_its_fields_are_left_out(here: Path) -> None:
    train("--preset", "auto", "--use-peft", "false")
    assert not Path("out/model/adapter_config.json").exists()
    assert told(f"{TRAINING}/spec.json")["left_to_rows"] == ["learning_rate", "num_train_epochs"]


@pytest.mark.parametrize(("name", "values", "length"), [("small-dataset", SMALL, 1024), ("large-dataset", LARGE, 2048)])
def test_a_preset_by_name_stands_in_the_spec(name: str, values: dict[str, Any], length: int, here: Path) -> None:
    train("--preset", name)
    spec = told(f"{TRAINING}/spec.json")
    assert {field: spec["experiment"][field] for field in values} == values
    assert spec["experiment"]["max_length"] == length and spec["left_to_rows"] == []


def test_other_rows_choose_anew(here: Path) -> None:
    train("--preset", "auto")
    rows(here, 1000)
    train("--preset", "auto", "--overwrite-output-dir")
    assert told(f"{TRAINING}/record.json")["facts"]["preset"]["name"] == "large-dataset"


def test_plan_counts_with_what_is_chosen(here: Path) -> None:
    train("--preset", "auto")
    before = inside("plan", "--json", "config.yaml", cwd=here / "out")
    assert before.returncode == 0, before.stderr
