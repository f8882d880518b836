"""AutoTrain's command line and its YAML as a config: every name, its own defaults, and what is answered with something else."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from polar_tools import config as configs
from polar_tools.cli import group
from polar_tools.conversions import autotrain
from polar_tools.conversions.autotrain import backends, names
from tests import autotrain_itself
from tests.conversions.autotrain import PARAMETERS
from tests.docs import pages
from tests.tiny import REPOSITORY, inside, run

FILES = sorted((REPOSITORY / "tests/foreign/autotrain").iterdir())
BASE = ["--train", "--model", "org/model", "--data-path", "org/rows"]
WITH_PEFT = ["--peft"]
PREFERENCES = ["--text-column", "better", "--rejected-text-column", "worse"]
DPO = ["--trainer", "dpo", "--prompt-text-column", "question", *PREFERENCES]
HELD_OUT = ["--valid-split", "test"]
TRAINING, DATA = "experiments.training", "datasets.data"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def itself(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What AutoTrain 0.8.36 says of itself."""
    folder = tmp_path_factory.mktemp("autotrain")
    autotrain_itself.fetch(folder)
    return autotrain_itself.told(folder)


def convert(*words: str) -> dict[str, Any]:
    """The config and the notes that a command line becomes."""
    done = CliRunner().invoke(group, ["convert", "--from", "autotrain", "--json", "--", *words], catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def at(config: Any, place: str) -> Any:
    """What stands at a place of a config; `...` where nothing does."""
    for name in place.split("."):
        config = config.get(name, ...) if isinstance(config, dict) else ...
    return config


def refused(*words: str) -> str:
    """What a person reads of a command that can't be."""
    done = inside("convert", "--from", "autotrain", "--", *words, cwd=Path())
    assert done.returncode == 2 and "Traceback" not in done.stderr and not done.stdout, done.stderr
    return done.stderr.removeprefix("error: ")


# Its own names and defaults


def test_every_spelling_of_its_command_line_is_known(itself: dict[str, Any]) -> None:
    for name, option in itself["options"].items():
        for spelling in option["spellings"]:
            assert autotrain.NAMES[spelling.removeprefix("--")] == name, spelling
    theirs = {spelling.removeprefix("--") for option in itself["options"].values() for spelling in option["spellings"]}
    more = {name for name in autotrain.NAMES if "." not in name} - theirs - {"task", "base_model"}
    assert more == {spelling for name in names.EARLIER for spelling in (name, name.replace("_", "-"))}


def test_defaults_are_its_own(itself: dict[str, Any]) -> None:
    assert itself["parameters"] == names.LLM
    by_command_line = {name: option["default"] for name, option in itself["options"].items() if name not in names.COMMAND}
    assert by_command_line == {**names.LLM, "block_size": "1024"}, "only this one is another on the command line, and means the same"
    assert [names.TASKS[task].items() - told.items() for task, told in itself["tasks"].items()] == [set()] * len(names.TASKS)
    for task, told in itself["tasks"].items():
        assert names.TASKS[task].keys() == told.keys(), task


def test_nothing_and_its_defaults_said_aloud_are_the_same_training(itself: dict[str, Any]) -> None:
    flags = [f"--{name}" for name, option in itself["options"].items() if option["flag"] and option["default"]]
    told = {
        name: str(option["default"]) for name, option in itself["options"].items() if not option["flag"] and option["default"] is not None
    }
    words = [word for name, value in (told | {"model": "org/model", "data_path": "org/rows"}).items() for word in (f"--{name}", value)]
    silent, aloud = (configs.parse(convert(*given)["config"]) for given in (BASE, ["--train", *flags, *words]))
    bounded = aloud.experiments["training"].model_copy(update={"tokenizer_max_len": None})
    assert bounded == silent.experiments["training"], "but for the length at which the saved tokenizer cuts: only who asks for it gets it"
    assert silent.model_copy(update={"experiments": {}}) == aloud.model_copy(update={"experiments": {}})


def test_every_backend_of_its_is_answered(itself: dict[str, Any]) -> None:
    here = [name for name in itself["backends"] if name in backends.LOCAL]
    assert here == ["local", "local-cli", "local-ui"]
    for name in (one for one in itself["backends"] if one not in here):
        assert any(name.startswith(beginning) for beginning in backends.ELSEWHERE), name


# What each option becomes

FIELDS: list[tuple[list[str], str, str, Any]] = [
    ([], "--model org/other", "models.model.source", "hf://org/other"),
    ([], "--project-name mine", "project_name", "mine"),
    ([], "--data-path org/other", f"{DATA}.source", "hf://datasets/org/other"),
    ([], "--train-split train_sft", f"{DATA}.train_data_split", "train_sft"),
    ([], "--train-split ko:train", f"{DATA}.train_data_dir", "ko"),
    ([], "--valid-split test", f"{DATA}.test_data_split", "test"),
    ([], "--text-column article", f"{DATA}.columns.text", "article"),
    (DPO, "--text-column good", f"{DATA}.columns.chosen", "good"),
    (DPO, "--rejected-text-column bad", f"{DATA}.columns.rejected", "bad"),
    (DPO, "--prompt-text-column asked", f"{DATA}.columns.prompt", "asked"),
    ([], "--add-eos-token", f"{TRAINING}.add_eos_token", True),
    ([], "--block-size 512", f"{TRAINING}.block_size", 512),
    ([], "--block-size -1", f"{TRAINING}.block_size", 1024),
    ([], "--block-size 4096", f"{TRAINING}.block_size", 2048),
    (["--trainer", "sft"], "--block-size 512", f"{TRAINING}.packing_length", 512),
    (DPO, "--block-size 512", f"{TRAINING}.max_length", 512),
    ([], "--model-max-length 300", f"{TRAINING}.tokenizer_max_len", 300),
    ([], "--model-max-length 300", f"{TRAINING}.block_size", 300),
    ([], "--padding left", f"{TRAINING}.padding_side", "left"),
    ([], "--trainer default", f"{TRAINING}.method", "causal_lm"),
    ([], "--trainer sft", f"{TRAINING}.method", "sft"),
    (DPO, "--trainer dpo", f"{TRAINING}.method", "dpo"),
    (DPO, "--trainer orpo", f"{TRAINING}.method", "orpo"),
    (PREFERENCES, "--trainer reward", f"{TRAINING}.method", "reward"),
    ([], "--use-flash-attention-2", f"{TRAINING}.attn_implementation", "flash_attention_2"),
    ([], "--log wandb", "run.trackers", [{"tracker": "wandb"}]),
    ([], "--disable-gradient-checkpointing", f"{TRAINING}.activation_checkpointing", False),
    ([], "--logging-steps 5", f"{TRAINING}.logging_steps", 5),
    (HELD_OUT, "--eval-strategy steps", f"{TRAINING}.eval_strategy", "steps"),
    ([], "--save-strategy no", f"{TRAINING}.save_strategy", "no"),
    ([], "--save-total-limit 2", f"{TRAINING}.save_total_limit", 2),
    ([], "--auto-find-batch-size", f"{TRAINING}.auto_find_batch_size", True),
    ([], "--mixed-precision bf16", f"{TRAINING}.bf16", True),
    ([], "--mixed-precision fp16", f"{TRAINING}.fp16", True),
    ([], "--lr 2e-4", f"{TRAINING}.learning_rate", 2e-4),
    ([], "--epochs 2", f"{TRAINING}.num_train_epochs", 2),
    ([], "--batch-size 4", f"{TRAINING}.per_device_train_batch_size", 4),
    ([], "--warmup-ratio 0.2", f"{TRAINING}.warmup_steps", 0.2),
    ([], "--gradient-accumulation 2", f"{TRAINING}.gradient_accumulation_steps", 2),
    ([], "--optimizer adafactor", f"{TRAINING}.optim", "adafactor"),
    ([], "--optimizer adamw_hf", f"{TRAINING}.optim", "adamw_torch"),
    ([], "--scheduler cosine", f"{TRAINING}.lr_scheduler_type", "cosine"),
    ([], "--weight-decay 0.01", f"{TRAINING}.weight_decay", 0.01),
    ([], "--max-grad-norm 0.5", f"{TRAINING}.max_grad_norm", 0.5),
    ([], "--seed 7", f"{TRAINING}.seeds", [7]),
    (["--trainer", "sft"], "--chat-template zephyr", f"{TRAINING}.chat_template", "zephyr"),
    ([], "--chat-template tokenizer", f"{TRAINING}.method", "sft"),
    (DPO, "--chat-template none", f"{TRAINING}.chat_template", "none"),
    ([], "--peft", f"{TRAINING}.use_peft", True),
    (WITH_PEFT, "--quantization int8", f"{TRAINING}.quantization", "int8"),
    (WITH_PEFT, "--target-modules q_proj,v_proj", f"{TRAINING}.target_modules", "q_proj,v_proj"),
    (WITH_PEFT, "--merge-adapter", f"{TRAINING}.merge_adapter", True),
    (WITH_PEFT, "--lora-r 8", f"{TRAINING}.lora_r", 8),
    (WITH_PEFT, "--lora-alpha 16", f"{TRAINING}.lora_alpha", 16),
    (WITH_PEFT, "--lora-dropout 0.1", f"{TRAINING}.lora_dropout", 0.1),
    (DPO, "--model-ref org/reference", "models.reference.source", "hf://org/reference"),
    (DPO, "--model-ref org/reference", f"{TRAINING}.ref_model", "reference"),
    (DPO, "--dpo-beta 0.2", f"{TRAINING}.beta", 0.2),
    (DPO, "--max-prompt-length 256", f"{TRAINING}.max_prompt_length", 256),
    (DPO, "--max-completion-length 300", f"{TRAINING}.max_completion_length", 300),
    (["--username", "me"], "--push-to-hub", "publish.training.push_to_hub", True),
    (["--push-to-hub", "--project-name", "mine"], "--username me", "publish.training.hub_model_id", "me/mine"),
    (["--push-to-hub"], "--repo-id me/it", "publish.training.hub_model_id", "me/it"),
    ([], "--distributed-backend deepspeed", f"{TRAINING}.deepspeed", "zero3"),
]


@pytest.mark.parametrize(("besides", "option", "place", "value"), FIELDS, ids=[f"{option} {place}" for _, option, place, _ in FIELDS])
def test_an_option_reaches_its_field(besides: list[str], option: str, place: str, value: Any) -> None:
    made = convert(*BASE, *besides, *option.split())
    assert at(made["config"], place) == value
    name = option.split()[0].removeprefix("--").replace("-", "_")
    noted = [note for note in made["notes"] if note["name"].replace("-", "_") == name]
    assert any(place in note["places"] and note["kind"] in ("became", "safer") for note in noted), noted


def test_no_option_is_left_out_of_the_table() -> None:
    told = {option.split()[0].removeprefix("--").replace("-", "_") for _, option, _, _ in FIELDS}
    nowhere = {"train", "deploy", "inference", "backend", "task", "token", "unsloth"}
    assert told == {name for name in PARAMETERS if names.among(names.LLM, name)} - nowhere


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--unsloth", "faster kernels"),
        ("--lora-r 8", "with --peft only"),
        ("--quantization int4", "with --peft only"),
        ("--dpo-beta 0.2", "for dpo only"),
        ("--max-prompt-length 5", "for dpo and orpo only"),
        ("--rejected-text-column x", "for dpo, orpo and reward only"),
        ("--username me", "nothing is published"),
        ("--log none", "written in any case"),
        ("--backend local-cli", "where the command runs"),
        ("--eval-strategy steps", "nothing is held out"),
    ],
)
def test_what_autotrain_itself_would_not_read_is_said(option: str, why: str) -> None:
    made, name = convert(*BASE, *option.split()), option.split()[0].removeprefix("--").replace("-", "_")
    [note] = [note for note in made["notes"] if note["name"].replace("-", "_") == name]
    assert note["kind"] == "dropped" and why in note["text"]
    assert made["config"] == convert(*BASE)["config"]


def test_its_defaults_are_put_where_ours_are_others_and_named() -> None:
    made = convert(*BASE, "--trainer", "sft", "--peft")
    training = made["config"]["experiments"]["training"]
    assert training == {
        **{"method": "sft", "model": "model", "dataset": "data", "seeds": [42], "padding_side": "right", "activation_checkpointing": True},
        **{"learning_rate": 3e-5, "num_train_epochs": 1, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        **{"warmup_steps": 0.1, "packing": True, "packing_strategy": "wrapped", "packing_length": 1024, "use_peft": True, "lora_r": 16},
        **{"lora_alpha": 32, "lora_dropout": 0.05, "target_modules": "all-linear", "quantization": "int4"},
        **{"bnb_4bit_use_double_quant": False, "bnb_4bit_compute_dtype": "float16"},
    }
    said = {place: note["text"] for note in made["notes"] if note["kind"] == "chosen" for place in note["places"]}
    assert said[f"{TRAINING}.learning_rate"] == "AutoTrain's default of --lr"
    safer = {place for note in made["notes"] if note["kind"] == "safer" for place in note["places"]}
    assert {f"{TRAINING}.trust_remote_code", f"{TRAINING}.tokenizer_max_len", f"{TRAINING}.auto_find_batch_size"} <= safer


# Where the rows are


def rows(file: Path, *told: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in told))
    else:
        with file.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, list(told[0]))
            writer.writeheader()
            writer.writerows(told)


def test_a_folder_has_a_file_for_each_split(here: Path) -> None:
    for name in ("train.csv", "train.jsonl", "valid.csv", "other.csv"):
        rows(here / "data" / name, {"text": "a"})
    data = convert(*BASE, "--data-path", "data", "--valid-split", "valid")["config"]["datasets"]["data"]
    assert (data["source"], data["test_source"]) == ("file://data/train.csv", "file://data/valid.csv"), "csv before jsonl, as AutoTrain"
    assert "there is no data/test.csv" in refused(*BASE, "--data-path", "data", "--valid-split", "test")


@pytest.mark.parametrize(("files", "split"), [(["part-0.parquet"], ...), (["train-0.parquet", "test-0.parquet"], "train")])
def test_a_folder_of_other_files_has_splits_by_their_names(files: list[str], split: Any, here: Path) -> None:
    for name in files:
        rows(here / "data" / name, {"text": "a"})
    assert at(convert(*BASE, "--data-path", "data")["config"], f"{DATA}.train_data_split") is split or split == "train"
    assert at(convert(*BASE, "--data-path", "data")["config"], f"{DATA}.source") == "file://data"


def test_messages_that_are_text_are_read_also_as_python_writes_them(here: Path) -> None:
    said = [{"role": "user", "content": "what's that?"}, {"role": "assistant", "content": 'a "cat"'}]
    rows(here / "data/train.csv", {"messages": str(said)}, {"messages": json.dumps(said[::-1])})
    config = convert(*BASE, "--data-path", "data", "--trainer", "sft", "--chat-template", "tokenizer", "--text-column", "messages")[
        "config"
    ]
    assert config["datasets"]["data"]["json_columns"] == ["messages"]
    done = inside("prepare", "--source", "data/train.csv", "--output", "out", "--set", "json_columns=[messages]", cwd=here)
    assert done.returncode == 0, done.stderr
    found = [row for file in (here / "out").rglob("*.parquet") for row in pq.read_table(file)["messages"].to_pylist()]
    assert sorted(found, key=str) == sorted([said, said[::-1]], key=str)


def test_lists_in_jsonl_need_no_parsing(here: Path) -> None:
    rows(here / "data/train.jsonl", {"chosen": [{"role": "user", "content": "a"}], "rejected": "[]"})
    preferences = ["--text-column", "chosen", "--rejected-text-column", "rejected", "--trainer", "orpo", "--chat-template", "chatml"]
    assert at(convert(*BASE, "--data-path", "data", *preferences)["config"], f"{DATA}.json_columns") == ["rejected"]


# Whole files


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_a_file_becomes_a_config_that_is_valid(file: Path, here: Path) -> None:
    columns = {"text": "a", "label": "b", "messages": "[]", "chosen": "c", "rejected": "d"}
    for split in ("train", "valid"):
        rows(here / "data" / f"{split}.csv", columns)
    done = CliRunner().invoke(group, ["convert", "--from", "autotrain", str(file), "--to", "config.yaml"])
    assert done.exit_code == 0, done.output
    checked = inside("check", "config.yaml", cwd=here)
    assert checked.returncode == 0, checked.stderr
    method = yaml.safe_load(Path("config.yaml").read_text())["experiments"]["training"]["method"]
    expected = {"generic": "causal_lm", "regression": "classification", "st": "sentence_transformer"}
    assert method == expected.get(file.stem, file.stem)


def test_its_yaml_is_read_as_autotrain_reads_it() -> None:
    done = CliRunner().invoke(group, ["convert", "--from", "autotrain", "--json", str(REPOSITORY / "tests/foreign/autotrain/orpo.yaml")])
    config = json.loads(done.stdout)["config"]
    training = config["experiments"]["training"]
    assert (training["learning_rate"], training["max_prompt_length"], training["optim"]) == (2e-5, 512, "paged_adamw_8bit")
    assert "quantization" not in training and "publish" not in config, "null and false"
    assert config["datasets"]["data"]["columns"] == {"chosen": "chosen", "rejected": "rejected"}, "a template makes the prompt"


def test_placeholders_come_out_of_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = yaml.safe_load((REPOSITORY / "tests/foreign/autotrain/dpo.yaml").read_text())
    told["hub"]["push_to_hub"] = True
    (here / "autotrain.yaml").write_text(yaml.safe_dump(told))
    command = ["convert", "--from", "autotrain", "autotrain.yaml", "--json"]
    monkeypatch.delenv("HF_USERNAME", raising=False)
    missing = inside(*command, cwd=here)
    assert missing.returncode == 2 and "export HF_USERNAME" in missing.stderr
    monkeypatch.setenv("HF_USERNAME", "somebody")
    config = json.loads(CliRunner().invoke(group, command).stdout)["config"]
    assert at(config, "publish.training.hub_model_id") == "somebody/autotrain-smol-dpo"


# The page


def test_the_page_has_every_option_and_the_example_is_what_it_becomes(here: Path) -> None:
    page = pages.text_of("docs/from-autotrain.md")
    spelled = [f"`--{name.replace('_', '-')}`" for name in (*names.LLM, *names.COMMAND, *names.EARLIER)]
    assert [name for name in spelled if name not in page] == []
    theirs, ours = (block.text for block in pages.blocks("docs/from-autotrain.md", "yaml"))
    (here / "autotrain.yaml").write_text(theirs)
    done = inside("convert", "--from", "autotrain", "autotrain.yaml", cwd=here)
    assert configs.parse(yaml.safe_load(done.stdout)) == configs.parse(yaml.safe_load(ours)), done.stdout


# What is answered with something else


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--deploy", "serve PROJECT_NAME/model"),
        ("--inference", "polar-tools chat PROJECT_NAME/model"),
        ("--backend spaces-a10g-large", "snakemake --profile slurm"),
        ("--backend ep-aws-useast1-s", "--backend local"),
        ("--backend nvcf-h100x1", "--backend local"),
        ("--backend dgx-a100", "--backend local"),
        ("--backend spaces-tpu-v5e", "no training on TPUs"),
        ("--backend locl", "did you mean `local`"),
        ("--trainer sftt", "did you mean `sft`"),
        ("--trainer ppo", "it has default, generic, sft, dpo, orpo, reward"),
        ("--trainer dpo", "--rejected-text-column"),
        ("--batch-sizee 4", "did you mean `batch-size`"),
        ("--block-size 512,1024", "give one"),
        ("--block-size long", "no whole number"),
        ("--quantization int3", "int4, int8 and none"),
        ("--peft --quantization int3", "int4, int8 and none"),
        ("--mixed-precision fp8", "fp16 and bf16"),
        ("--chat-template alpaca", "tokenizer, chatml, zephyr"),
        ("--warmup-ratio 100", "no share of the steps"),
        ("--log mlflow", "docs/track.md"),
        ("--optimizer adamww", "did you mean"),
        ("--train-split train[:10%]", "slice of a split"),
        ("--data-path no/where/here", "there is no `no/where/here` here"),
        ("--max-seq-length 5", "has no"),
        ("--distributed-backend horovod", "ddp and deepspeed"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(words: str, says: str) -> None:
    if words == "--quantization int3":
        assert says not in CliRunner().invoke(group, ["convert", "--from", "autotrain", "--", *BASE, *words.split()]).output, "unread there"
        return
    assert says in refused(*BASE, *words.split())


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("vlm:captioning", "method: multimodal"),
        ("token-classification", "method: classification"),
        ("extractive-qa", "method: sft"),
        ("image-classification", "no method here does that"),
        ("tabular", "trains models of text"),
        ("st:pairs", "it has st:pair"),
        ("llm-sftt", "did you mean `sft`"),
        ("texts-classification", "AutoTrain has no task"),
    ],
)
def test_other_tasks_of_its_yaml_are_answered(task: str, says: str, here: Path) -> None:
    told = yaml.safe_load((REPOSITORY / "tests/foreign/autotrain/generic.yaml").read_text()) | {"task": task, "params": {"lr": 1e-5}}
    told["data"] = {"path": "org/rows", "train_split": "train", "column_mapping": {}}
    (here / "autotrain.yaml").write_text(yaml.safe_dump(told))
    done = inside("convert", "--from", "autotrain", "autotrain.yaml", cwd=here)
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_token_is_in_no_output(here: Path) -> None:
    canary = "hf_canary-of-autotrain"
    words = ["--from", "autotrain", "--json", "--to", "c.yaml", "--", *BASE, "--token", canary, "--push-to-hub", "--username", "me"]
    done = run("polar-tools", "convert", *words, cwd=here)
    assert done.returncode == 0 and canary not in done.stdout + done.stderr + (here / "c.yaml").read_text(), done.stderr
    assert "export HF_TOKEN" in done.stderr
    assert canary not in refused(*BASE, "--token", canary, "--block-size", "x") and canary not in os.environ.values()
