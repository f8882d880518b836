"""`polar-tools llm`: who pastes an AutoTrain command gets a trained model and the report; nothing is done twice, no token stays."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests import tiny
from tests.hub_server import Hub
from tests.pulls import leaked
from tests.stores import Stores

CANARY = "hf_canary-of-autotrain"
SFT = "--train --trainer sft --model llama --project-name my-model --data-path data --text-column text --valid-split valid --block-size 64"
FAST = "--lr 1e-2 --epochs 3 --train-batch-size 4 --gradient_accumulation 1 --disable-gc"
NESTED = "--train --model llama --project-name data --data-path ."
DPO = "--train --trainer dpo --model llama --project-name better --data-path pairs --block-size 128 --lr 1e-3 --chat-template tokenizer"
PAIRS = "--prompt-text-column prompt --text-column chosen --rejected-text-column rejected --hold-out 0.2 --peft"


@pytest.fixture
def here(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, and with rows as AutoTrain wants them."""
    shutil.copytree(assets / "assets/llama", tmp_path / "llama")
    with (assets / "assets/rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = [{"text": f"{row['question']} {row['answer']}"} for row in rows]
    pairs = [{"prompt": "", "chosen": _dialogue(row, row["answer"]), "rejected": _dialogue(row, "nobody knows")} for row in rows]
    for name, told in (("data/train", texts[12:]), ("data/valid", texts[:12]), ("pairs/train", pairs[:16])):
        _write(tmp_path / f"{name}.csv", told)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _dialogue(row: dict[str, str], answer: str) -> str:
    """As pandas writes a list of messages into a CSV file."""
    return str([{"role": "user", "content": row["question"]}, {"role": "assistant", "content": answer}])


def _write(file: Path, rows: list[dict[str, str]]) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_pasted_command_becomes_a_better_model_and_is_done_once(here: Path) -> None:
    words = f"{SFT} {FAST}".split()
    done = tiny.inside("llm", *words, cwd=here)
    assert done.returncode == 0, done.stderr
    *_, model, report = done.stdout.splitlines()
    assert (model, report) == ("my-model/model is the trained model", "my-model/results/report/index.html is the report")
    measured = dict(line.split(": ") for line in done.stdout.splitlines() if " -> " in line)
    before, after = map(float, measured["held_out.loss"].split(" -> "))
    assert after < before - 1, "nats a token, on rows that nobody trained on"
    loaded = AutoModelForCausalLM.from_pretrained(here / "my-model/model", local_files_only=True)
    assert loaded.num_parameters() == AutoModelForCausalLM.from_pretrained(here / "llama", local_files_only=True).num_parameters()
    assert AutoTokenizer.from_pretrained(here / "my-model/model", local_files_only=True).padding_side == "right"
    assert "text-column -> datasets.data.columns.text" in done.stderr and "-> safer: experiments.training.trust_remote_code" in done.stderr
    spec = json.loads((here / "my-model/results/training/seed42/train/spec.json").read_bytes())["experiment"]
    assert (spec["packing_strategy"], spec["packing_length"], spec["eval_strategy"]) == ("wrapped", 64, "epoch")

    again = tiny.inside("llm", *words, cwd=here)
    lines = [line for line in again.stdout.splitlines() if line.startswith(("resources/", "results/"))]
    assert again.returncode == 0 and lines and all(line.endswith("up to date") for line in lines), again.stderr
    other = tiny.inside("llm", *words, "--lr", "1e-3", cwd=here)
    assert other.returncode == 2 and "my-model holds a finished training with other settings" in other.stderr


@pytest.mark.slow
def test_a_command_that_publishes_publishes_and_its_token_stays_nowhere(here: Path, stores: Stores) -> None:
    hub: Hub = stores.hub
    words = f"{DPO} {PAIRS} --push-to-hub --username canary-of-autotrain --token {CANARY}".split()
    settings = {**hub.environment(CANARY), "HF_TOKEN": ""}
    done = tiny.run("polar-tools", "llm", *words, cwd=here, **settings)
    assert done.returncode == 0, done.stderr
    files = hub.files("canary-of-autotrain/better")
    trained = here / "better/results/training/seed42/train/model/adapter_model.safetensors"
    assert files["adapter_model.safetensors"] == trained.read_bytes() == (here / "better/model/adapter_model.safetensors").read_bytes()
    assert hub.repositories["models/canary-of-autotrain/better"].readers == {CANARY}, "private, as AutoTrain's are"
    assert "held_out.preference_accuracy: " in done.stdout
    config = yaml.safe_load((here / "better/config.yaml").read_text())
    assert config["experiments"]["training"]["quantization"] == "int4" and config["datasets"]["data"]["json_columns"]

    written = [path.read_bytes() for path in here.rglob("*") if path.is_file()]
    assert not leaked(done.stdout + done.stderr, [*written, *files.values()], [CANARY])


def test_options_that_are_cut_short_are_those_that_alone_begin_so(here: Path) -> None:
    short = SFT.replace("--project-name", "--project-n").replace("--data-path ", "--data-p=").replace("--block-size", "--block-si")
    for name, words in (("whole", SFT), ("short", short)):
        done = tiny.inside("llm", *words.replace("my-model", name).split(), "--convert-only", cwd=here)
        assert done.returncode == 0, done.stderr
    whole, cut = ((here / name / "config.yaml").read_text(encoding="utf-8") for name in ("whole", "short"))
    assert cut == whole.replace("whole", "short")
    several = tiny.inside("llm", *SFT.replace("--block-size", "--b").split(), "--convert-only", cwd=here)
    assert several.returncode == 2 and "AutoTrain has no `b`" in several.stderr


def test_nothing_happens_where_nothing_is_asked(here: Path) -> None:
    assert "nothing to do without --train" in tiny.inside("llm", "--model", "llama", cwd=here).stderr
    without = tiny.inside("llm", *NESTED.split(), "--convert-only", cwd=here)
    assert without.returncode == 2 and "holds data too, where all is made" in without.stderr
    only = tiny.inside("llm", *SFT.split(), "--convert-only", cwd=here)
    assert only.returncode == 0 and [path.name for path in (here / "my-model").iterdir()] == ["config.yaml"]
    checked = tiny.inside("check", "my-model/config.yaml", cwd=here)
    assert checked.returncode == 0, checked.stderr
    helped = tiny.inside("llm", "--help", cwd=here)
    assert helped.returncode == 0 and "--data-path ORG/PREFERENCES" in helped.stdout
