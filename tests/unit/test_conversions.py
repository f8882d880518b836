"""What each argument of POLAR Trainer, ModelTrainer and G3MoE becomes, and what their files become."""

import importlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from polar_tools.cli import group
from polar_tools.conversions import polar_trainer
from polar_tools.conversions.polar_trainer import methods
from tests.conversions import polar_trainer as polar
from tests.docs import pages
from tests.reached import at, converted, what_became
from tests.tiny import REPOSITORY, inside

FILES = REPOSITORY / "tests/foreign"
TABLES = ("polar_trainer", "model_trainer", "g3moe")
MODEL_TRAINER = [str(FILES / "model_trainer" / name) for name in ("base.yaml", "experiment.yaml")]
PAIRS = [(spellings, [*trainers.items()]) for spellings, trainers in methods.PAIRS.items()]
REALISTIC = {
    "polar_trainer.env": [str(FILES / "polar_trainer.env")],
    "polar_trainer.py": [str(FILES / "polar_trainer.py")],
    "polar_trainer.sh": [str(FILES / "polar_trainer.sh")],
    "model_trainer": MODEL_TRAINER,
    "g3moe.json": [str(FILES / "g3moe.json")],
    "run_g3moe.sh": [str(FILES / "run_g3moe.sh")],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rows that ModelTrainer's files name."""
    monkeypatch.chdir(tmp_path)
    for name in ("train.csv", "dev.csv"):
        (tmp_path / "data/dialogues").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/dialogues" / name).write_text("dialogue,summary\na,b\n", encoding="utf-8")
    return tmp_path


def convert(*words: str) -> dict[str, Any]:
    """Config and notes, as the command prints them."""
    done = CliRunner().invoke(group, ["convert", "--json", *words], catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(*words: str) -> str:
    """What a person reads where nothing could be converted."""
    done = inside("convert", *words, cwd=Path())
    assert done.returncode == 2 and "Traceback" not in done.stderr and not done.stdout, done.stderr
    return done.stderr


@pytest.mark.parametrize("program", TABLES)
def test_each_argument_reaches_its_field(program: str, here: Path) -> None:
    table = importlib.import_module(f"tests.conversions.{program}")
    names = table.NAMES
    first = {meant: spelling for spelling, meant in reversed(names.items())}
    assert set(table.CASES) == set(names.values())
    reached, expected = {}, {}
    for name, case in table.CASES.items():
        rest = {other: value for other, value in table.beside(name).items() if names[other] != name}
        found = converted({**rest, first[name]: case.value}, program, here)
        reached[name], expected[name] = what_became(first[name], case, found), dict(case.reaches)
        if not case.reaches:
            why = [note["text"] for note in found["notes"] if note["name"] == first[name]]
            assert why and all(why), f"{name}: nothing says why it becomes nothing"
    assert reached == expected


def test_polar_trainers_names_are_those_that_people_have() -> None:
    assert set(polar.ISSUE) <= set(polar_trainer.NAMES)
    assert len(polar.ISSUE) == len(set(polar.ISSUE)) == 89


@pytest.mark.parametrize("name", REALISTIC)
def test_whole_files_become_configs_that_can_be_run(name: str, here: Path) -> None:
    done = inside("convert", *REALISTIC[name], "--to", "config.yaml", cwd=here)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((here / "config.yaml").read_text(encoding="utf-8"))
    sections = [section for section in config if section in ("models", "datasets", "evaluations", "experiments", "publish", "run")]
    assert sections == [one for one in ("models", "datasets", "evaluations", "experiments", "publish", "run") if one in config]
    checked = inside("check", "config.yaml", cwd=here)
    assert checked.returncode == 0, checked.stderr + checked.stdout
    made = [line.split()[-1] for line in checked.stdout.splitlines() if line.startswith("to make")]
    assert {f"results/training/{run}/evaluate/held_out" for run in ("base", "seed42")} <= set(made), "before and after"


def test_dashes_are_underscores() -> None:
    words = ["--training-method", "cls", "--model-name-or-path", "org/m", "--train_data", "org/d", "--learning-rate", "1e-3"]
    assert convert("--", *words)["config"]["experiments"]["training"]["learning_rate"] == 1e-3


def test_what_polar_trainer_says_and_what_it_does_by_itself() -> None:
    config = convert(*REALISTIC["polar_trainer.py"])["config"]
    training = config["experiments"]["training"]
    assert (training["method"], training["deepspeed"], training["sub_group_size"]) == ("sft", "zero3", 10_000_000)
    assert (training["seeds"], training["dtype"], training["modules_to_save"]) == ([42], "bfloat16", ["embed_tokens", "lm_head"])
    assert config["datasets"]["data"]["source"] == "s3://corpora/shop/answers"
    bare = convert("--", "--training_method", "mlm", "--model_name_or_path", "org/m", "--train_data", "org/d")["config"]
    assert bare["experiments"]["training"]["mlm_probability"] == 0.3, "its default, and not ours"
    assert (bare["experiments"]["training"]["max_length"], bare["experiments"]["training"]["on_too_long"]) == (2048, "cut_right")
    assert bare["datasets"]["data"]["train_test_split_ratio"] == 0.05


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--use_sfttrainer", "true", "--use_dpotrainer", "true"], "at most one trainer"),
        (["--use_dpotrainer", "true"], "use_dpotrainer doesn't go with training_method cls: take no trainer of trl with it"),
        (["--training_method", "clss"], "has no training_method `clss`, did you mean `cls`?"),
        (["--training_method", "clm", "--use_grpotrainer", "true"], "dataset_sub_column: what a model writes must be judged"),
        (["--training_method", "st", "--st_loss_func", "TripletLos"], "did you mean `TripletLoss`?"),
        (
            ["--training_method", "st", "--dataset_main_column", "a", "--dataset_sub_column", "b"],
            "dataset_minor_column: sentence1, sentence2",
        ),
        (["--learning-rat", "1"], "has no `learning-rat`, did you mean `learning_rate`?"),
        (["--model_load_method", "minioo"], "did you mean `minio`?"),
        (["--use_deepspeed", "true", "--ds_preset", "zero-4"], "there are zero-1, zero-2 and zero-3"),
        (["--test_data", "org/d"], "nothing would be held out: name its test_data_split"),
        (["--learning_rate", "fast"], "learning_rate"),
        (["--warmup_ratio", "2"], "warmup_ratio: 2 is no share"),
    ],
)
def test_what_makes_no_sense_is_said_with_what_to_do(words: list[str], says: str) -> None:
    base = ["--", "--training_method", "cls", "--model_name_or_path", "org/m", "--train_data", "org/d"]
    assert says in refused(*base, *words)


def test_the_page_has_the_table_of_methods() -> None:
    assert methods.table() in (REPOSITORY / "docs/convert.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_do_what_it_says(here: Path) -> None:
    for name, file in {"trainer.env": "polar_trainer.env", "base.yaml": MODEL_TRAINER[0], "experiment.yaml": MODEL_TRAINER[1]}.items():
        shutil.copyfile(FILES / file, here / name)
    (here / "config").mkdir()
    typed = [command.text for command in pages.commands("docs/convert.md") if "--run" not in command.text]
    assert len(typed) == 3
    for command in typed:
        words, _, target = command.partition(" > ")
        done = inside(*shlex.split(words)[1:], cwd=here)
        assert done.returncode == 0, done.stderr
        assert target or "--to" in words or done.stdout.startswith("# yaml-language-server: $schema=")
    assert (here / "config/config.yaml").is_file()


def test_later_files_count_more_and_references_are_filled_in(here: Path) -> None:
    (here / "one.yaml").write_text("general: {model_name: org/one, data_path: rows}\ntraining: {epochs: 3, batch_size: 2}\n")
    (here / "two.yaml").write_text("training: {epochs: 5}\ngeneral: {output_dir: '${general.data_path}/out'}\ndata: {train_file: a.csv}\n")
    found = convert("one.yaml", "two.yaml", "--training.learning_rate", "1e-4")
    training = found["config"]["experiments"]["training"]
    assert (training["num_train_epochs"], training["per_device_train_batch_size"], training["learning_rate"]) == (5, 2, 1e-4)
    assert at(found["config"], "models.model.source") == "hf://org/one"


@pytest.mark.parametrize(("spellings", "trainer", "method"), [(one, trainer, method) for one, all in PAIRS for trainer, method in all])
def test_every_pair_of_method_and_trainer_is_a_config(spellings: tuple[str, ...], trainer: str, method: str, here: Path) -> None:
    flags = {flag: True for flag, name in methods.TRAINERS.items() if name == trainer}
    rows = {"per_device_train_batch_size": 8, "dataset_main_column": "one", "dataset_sub_column": "two", "dataset_minor_column": "three"}
    for spelling in spellings:
        found = converted({**polar.BASE, "training_method": spelling, **flags, **rows}, "polar_trainer", here)
        assert found["config"]["experiments"]["training"]["method"] == method


def test_float16_is_left_out_where_there_is_no_gpu() -> None:
    found = convert(*MODEL_TRAINER, "--training.fp16", "true")
    assert found["config"]["experiments"]["training"]["fp16"] is False
    assert [note["kind"] for note in found["notes"] if note["name"] == "training.fp16"] == ["safer"]


def test_g3moe_is_fitted_to_a_machine_without_gpus() -> None:
    found = convert(*REALISTIC["g3moe.json"])
    training = found["config"]["experiments"]["training"]
    assert (training["gpus"], training["dtype"], training["attn_implementation"]) == (0, "float32", "sdpa")
    assert "bf16" not in training and "deepspeed" not in training
    safer = {note["name"]: note["text"] for note in found["notes"] if note["kind"] == "safer"}
    assert {"model_config.trust_remote_code", "training_config.bf16"} <= set(safer)
    assert "no GPU here" in safer["training_config.bf16"]


def test_g3moe_takes_the_gpus_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from polar_tools import hardware

    monkeypatch.setattr(hardware, "gpus", lambda: 4)
    training = convert(*REALISTIC["g3moe.json"])["config"]["experiments"]["training"]
    assert (training["gpus"], training["deepspeed"], training["dtype"], training["bf16"]) == (4, "zero2", "bfloat16", True)
    assert (training["attn_implementation"], training["attn_fallback"]) == ("flash_attention_2", True)
    assert convert(*REALISTIC["g3moe.json"], "--nproc_per_node", "2")["config"]["experiments"]["training"]["gpus"] == 2


def test_a_shell_script_is_read_with_its_config_and_its_variables() -> None:
    training = convert(*REALISTIC["run_g3moe.sh"])["config"]["experiments"]["training"]
    assert (training["max_length"], training["learning_rate"], training["lora_r"]) == (120_000, 5e-5, 8)
