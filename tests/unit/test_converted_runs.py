"""Foreign configurations run as they are, on tiny models: by `polar-tools convert --run`, and by their flat names from a program."""

import csv
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from transformers import AutoTokenizer

import polar_tools
from polar_tools import config as configs
from polar_tools.errors import UserError
from tests.cases import seq2seq
from tests.docs import pages
from tests.tiny import REPOSITORY, inside

FILES = REPOSITORY / "tests/foreign"
PAGE = "docs/convert.md"
FLAT: dict[str, Any] = {
    **{"training_method": "cls", "model_name_or_path": "bert", "train_data": "rows.csv", "hugging_face_token": "hf_canaryOfThisRun"},
    **{"dataset_main_column": "answer", "dataset_sub_column": "kind", "train_test_split_ratio": 0.25, "max_steps": 30},
    **{
        "learning_rate": 3e-3,
        "do_eval": True,
        "project_name": "animals",
        "number_gpu": 0,
        "tokenizer_max_len": 64,
        "data_filtering": False,
    },
}


@pytest.fixture
def here(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models, rows, and the dialogues of ModelTrainer's files."""
    seq2seq.make(tmp_path / "made", assets)
    for source in (tmp_path / "made/assets").iterdir():
        shutil.move(str(source), tmp_path / source.name)
    rows = list(csv.DictReader((tmp_path / "rows.csv").open(encoding="utf-8")))
    folder = tmp_path / "data/dialogues"
    folder.mkdir(parents=True)
    for name, part in {"train": rows[:32], "dev": rows[32:40]}.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            told = [(f"{name}_{number}", f"#Person1#: {row['question']}", row["answer"]) for number, row in enumerate(part)]
            csv.writer(file).writerows([("fname", "dialogue", "summary"), *told])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on_the_page(ending: str) -> list[str]:
    """The words of the page's command that ends so."""
    [found] = [command.text for command in pages.commands(PAGE) if command.text.endswith(ending)]
    return shlex.split(found)[1:]


def run(*words: str) -> CompletedProcess[str]:
    done = inside(*words[:-1], "out", cwd=Path())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "out/model is the trained model",
        "out/results/report/index.html compares it with the untouched one",
    ]
    assert configs.load(Path("out/config.yaml")).experiments["training"].evaluations == ("held_out",)
    assert Path("out/model/model.safetensors").is_file() or Path("out/model/adapter_model.safetensors").is_file()
    assert Path("out/results/report/index.html").is_file()
    return done


def test_polar_trainers_env_trains_and_evaluates(here: Path) -> None:
    data = {"model_name_or_path": "bert", "train_data": "rows.csv", "test_data": "", "train_test_split_ratio": "0.25", "num_labels": ""}
    columns = {"dataset_main_column": "answer", "dataset_sub_column": "kind", "data_filtering": "False", "bf16": "False"}
    elsewhere = {"push_to_minio": "False", "mlflow_url": "", "eval_steps": "10", "save_strategy": "no"}
    text = (FILES / "polar_trainer.env").read_text(encoding="utf-8")
    for name, value in {**data, **columns, **elsewhere}.items():
        text, count = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", text)
        assert count == 1
    (here / "trainer.env").write_text(text, encoding="utf-8")
    words = on_the_page("--run try")
    done = run(*words)
    assert "held_out.accuracy: " in done.stdout and " -> " in done.stdout
    again = run(*words)
    assert ": made in" not in again.stdout and "results/training/seed42/train: up to date" in again.stdout
    seen = done.stdout + done.stderr + "".join(file.read_text("utf-8", "replace") for file in (here / "out").rglob("*") if file.is_file())
    for secret in ("hf_sampleTokenOfNobody0001", "sampleAccessKey01", "sampleSecretKey02"):
        assert secret not in seen


def test_model_trainers_yamls_train_and_choose_by_rouge(here: Path) -> None:
    model = ["--general.model_name", "bart", "--tokenizer.encoder_max_len", "100", "--tokenizer.decoder_max_len", "8"]
    shorter = [
        "--training.epochs",
        "2",
        "--inference.generate_max_length",
        "8",
        "--inference.num_beams",
        "2",
        "--training.num_workers",
        "0",
    ]
    yamls = [str(FILES / "model_trainer" / name) for name in ("base.yaml", "experiment.yaml")]
    done = run("convert", *yamls, *model, *shorter, "--wandb.enabled", "false", "--run", "out")
    assert "held_out.rougeL: " in done.stdout
    assert AutoTokenizer.from_pretrained("out/model").tokenize("#Person1#")[-1] == "#Person1#"
    lines = [json.loads(line) for line in Path("out/results/training/seed42/train/metrics.jsonl").read_text("utf-8").splitlines()]
    looked = [line for line in lines if "eval_held_out_rouge12L_sum" in line]
    assert len(looked) == 2, "after each epoch"
    for line in looked:
        parts = [line[f"eval_held_out_{kind}"] for kind in ("rouge1", "rouge2", "rougeL")]
        assert line["eval_held_out_rouge12L_sum"] == pytest.approx(sum(parts))


def test_g3moes_json_trains_and_evaluates(here: Path) -> None:
    told = json.loads((FILES / "g3moe.json").read_text(encoding="utf-8"))
    told["model_config"]["model_name_or_path"] = "llama"
    told["data_config"] |= {"dataset_name": "rows.csv", "max_seq_length": 64}
    told["training_config"] |= {"num_train_epochs": 0.5, "eval_steps": 2, "save_steps": 2, "dataloader_num_workers": 0, "report_to": "none"}
    (here / "g3moe.json").write_text(json.dumps(told), encoding="utf-8")
    done = run(*on_the_page("--run results-of-g3moe"))
    assert "held_out.rougeL: " in done.stdout
    assert "trust_remote_code -> safer: experiments.training.trust_remote_code" in done.stderr
    assert Path("out/model/adapter_config.json").is_file()


def test_the_flat_names_are_open_to_a_program(here: Path) -> None:
    before = dict(os.environ)
    made = polar_tools.train(**FLAT, output_dir="out")
    assert made["final_model_path"] == "out/model" and Path(made["report"]).is_file()
    assert made["eval_metrics"]["eval_held_out_loss"] > 0
    assert {name for name in os.environ if name == "HF_TOKEN"} == {name for name in before if name == "HF_TOKEN"}, "a token stays nowhere"
    recorded = json.loads(Path("out/results/training/seed42/evaluate/held_out/report.json").read_bytes())
    measured = polar_tools.evaluate(**{**FLAT, "model_name_or_path": "out/model"}, output="measured")
    assert (measured["metrics"], measured["rows"]) == (recorded["metrics"], recorded["rows"]) == (measured["metrics"], 18)
    assert measured["metrics"]["accuracy"] > 0.5
    apart = {name: value for name, value in FLAT.items() if name not in ("train_data", "train_test_split_ratio")}
    some = list(csv.DictReader((here / "rows.csv").open(encoding="utf-8")))[:5]
    assert polar_tools.evaluate(**apart, test_data=some, output="untouched")["rows"] == 5, "all rows where they are for nothing else"


def test_a_program_is_told_what_is_missing(here: Path) -> None:
    with pytest.raises(UserError, match="has no `learning_rat`, did you mean `learning_rate`"):
        polar_tools.train(**FLAT, output_dir="out", learning_rat=1)
    with pytest.raises(UserError, match="give model_name_or_path, train_data, output_dir and method; or training_method"):
        polar_tools.train("bert", "rows.csv")
    with pytest.raises(UserError, match="give model, test_data and output; or training_method"):
        polar_tools.evaluate("bert")
    with pytest.raises(UserError, match="name what is copied"):
        polar_tools.pull_and_push_repo(push_to_hub=True)
    with pytest.raises(UserError, match="say where to: push_to_hub"):
        polar_tools.pull_and_push_repo(model_name_or_path="org/model")
    with pytest.raises(UserError, match="beside source_repo_id and target_repo_id there is no privat"):
        polar_tools.pull_and_push_repo("org/model", "me/model", privat=True)
