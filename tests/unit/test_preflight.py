"""The preflight: it passes where all is right, and each of its checks fails where what it looks for is wrong."""

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polar_tools import artifact, discovery, modeling, options, preflight
from polar_tools.checks import mask
from polar_tools.checks.base import BY_METHOD, Outcome
from polar_tools.errors import PreflightError
from polar_tools.specs import TrainSpec
from polar_tools.training.trial import ROWS, Trial
from tests import learning, tiny

CONFIG = """\
models:
  llama: {source: file://assets/llama}
  bert: {source: file://assets/bert}
datasets:
  sayings:
    source: file://assets/sayings.jsonl
    split: {test_size: 8, seed: 0}
  kinds:
    source: file://assets/rows.csv
    columns: {text: answer, label: kind}
    split: {test_size: 12, stratify: label, seed: 0}
  pairs:
    source: kinds
    columns: {anchor: question, positive: answer}
experiments:
  say:
    method: sft
    model: llama
    dataset: sayings
    max_steps: 2
    max_length: 100
    per_device_train_batch_size: 4
    learning_rate: 1.0e-2
    adam_beta1: 0.8
    weight_decay: 0.1
    lr_scheduler_type: cosine
    warmup_steps: 1
    use_peft: true
    lora_r: 2
    lora_dropout: 0.1
    logging_steps: 1
    threads: 1
  sort:
    method: classification
    model: bert
    dataset: kinds
    max_steps: 2
    threads: 1
  find:  # of rows whose answers stand there again and again, which no batch has together
    method: sentence_transformer
    model: bert
    dataset: pairs
    max_steps: 2
    threads: 1
"""


@pytest.fixture(scope="module")
def made(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which all is made but the trainings."""
    folder = tmp_path_factory.mktemp("preflight")
    shutil.copytree(assets / "assets", folder / "assets")
    said = [
        {"prompt": f"what does the cat number {number} do?", "completion": "it " + "purrs softly " * (1 + number % 5)}
        for number in range(40)
    ]
    (folder / "assets/sayings.jsonl").write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with contextlib.chdir(folder):
        learning.make("config.yaml", learning.BEFORE_TRAINING)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project for a test of its own, which is in it."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "project"))
    return tmp_path / "project"


def asked(experiment: str) -> TrainSpec:
    spec, _ = artifact.asked(Path(f"results/{experiment}/seed0/train"), "train")
    assert isinstance(spec, TrainSpec)
    return spec


def check(name: str, experiment: str, folder: Path, **changes: Any) -> Outcome:
    """How one check comes out."""
    spec = asked(experiment)
    spec = spec.model_copy(update={"experiment": spec.experiment.model_copy(update=changes)})
    outcome: Outcome = discovery.load("checks", name).run(Trial(spec, folder / "trial"))
    return outcome


def rewritten(experiment: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change every row of tokens/."""
    for file in Path(f"results/{experiment}/tokenize/tokens").iterdir():
        table = pq.read_table(file)
        pq.write_table(pa.Table.from_pylist([change(row) for row in table.to_pylist()], schema=table.schema), file)


@pytest.mark.parametrize("experiment", ["say", "sort", "find"])
def test_all_that_applies_passes(experiment: str, project: Path) -> None:
    findings = preflight.look(asked(experiment))
    held = discovery.load("methods", asked(experiment).experiment.method).CHECKS
    expected = {name: "passed" if name in (*held, "options") and name != "packing" else "not applicable" for name in findings}
    assert {name: outcome.result for name, outcome in findings.items()} == expected, findings
    assert set(findings) == {*BY_METHOD, "options"}


def test_methods_name_checks_that_there_are() -> None:
    for name, method in discovery.modules("methods").items():
        assert set(method.CHECKS) <= set(BY_METHOD), name
    assert set(BY_METHOD) <= set(discovery.names("checks"))


def test_a_mean_of_means_is_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Trainer

    monkeypatch.setattr(Trainer, "_get_num_items_in_batch", lambda self, batches, device: None)
    assert check("accumulation", "say", project).result == "failed"


def test_a_sum_of_means_is_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Trainer

    own = Trainer.compute_loss
    monkeypatch.setattr(Trainer, "compute_loss", lambda self, *given, **named: own(self, *given, **{**named, "num_items_in_batch": None}))
    monkeypatch.setattr(Trainer, "loss_is_scaled_for_ga", property(lambda self: True, lambda self, value: None))
    outcome = check("accumulation", "sort", project)
    assert outcome.result == "failed" and "7.5e-01 of their size" in outcome.figure


def test_packed_rows_that_see_each_other_are_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling as Collator

    assert check("packing", "say", project, packing=True).result == "passed"
    assert check("packing", "say", project, packing=True, packing_strategy="wrapped").result == "not applicable"
    through = staticmethod(lambda lengths: [torch.arange(sum(row)) for row in lengths])
    monkeypatch.setattr(Collator, "get_position_ids_from_packed_seq_lengths", through)
    assert check("packing", "say", project, packing=True).result == "failed"


def test_another_chat_template_than_that_of_the_tokens_is_seen(project: Path) -> None:
    template = project / "results/say/tokenize/tokenizer/chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8").replace("<|im_start|>", "<|im_start|> "), encoding="utf-8")
    outcome = check("same_ids", "say", project)
    assert outcome.result == "failed"
    assert outcome.figure.startswith("from token 2 on, training has 'user")


def test_an_end_that_evaluate_does_not_send_is_seen(project: Path) -> None:
    rewritten("say", lambda row: {name: values[:-1] for name, values in row.items()})
    outcome = check("same_ids", "say", project)
    assert outcome.result == "failed" and "training has ''" in outcome.figure


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: {**row, "labels": row["input_ids"]}, r"(\d+) of \1 tokens"),
        (lambda row: {**row, "labels": [-100] * len(row["labels"])}, r"0 of \d+ tokens"),
    ],
)
def test_labels_that_are_all_kept_or_all_masked_are_seen(change: Any, says: str, project: Path) -> None:
    rewritten("say", change)
    outcome = check("mask", "say", project)
    assert outcome.result == "failed" and re.match(says, outcome.figure), outcome.figure


def test_rows_behind_each_other_are_counted_one_by_one() -> None:
    import torch

    places = torch.tensor([[0, 1, 2, 0, 1]])
    labels = torch.tensor([[-100, 7, 8, 9, 9]])
    found = mask._rows({"labels": labels, "position_ids": places, "input_ids": labels.abs()}, prompted=True)
    assert found == [mask.Row(2, 3, True), mask.Row(2, 2, True)]


def test_a_collator_that_masks_more_than_the_padding_is_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Trainer

    own = Trainer.get_train_dataloader

    def masking(self: Any) -> Any:
        collate, end = self.data_collator, self.processing_class.eos_token_id

        def collator(rows: Any) -> Any:
            batch = collate(rows)
            return {**batch, "labels": batch["labels"].masked_fill(batch["labels"].eq(end), -100)}

        self.data_collator = collator
        return own(self)

    monkeypatch.setattr(Trainer, "get_train_dataloader", masking)
    outcome = check("mask", "say", project)
    assert outcome.result == "failed" and "as `tokenize` has made the rows it would be " in outcome.figure


def test_options_that_the_optimizer_does_not_get_are_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import Trainer

    def create_optimizer(self: Any, model: Any = None) -> Any:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2 * self.args.learning_rate)
        return self.optimizer

    monkeypatch.setattr(Trainer, "create_optimizer", create_optimizer)
    outcome = check("options", "say", project)
    assert outcome.result == "failed"
    for told in ("`learning_rate: 0.01` is 0.02 there", "`adam_beta1: 0.8` is 0.9 there", "`weight_decay: 0.1` is 0.01 there"):
        assert told in outcome.figure
    assert "adam_beta2" not in outcome.figure


def test_an_option_that_the_optimizer_does_not_know_is_seen(project: Path) -> None:
    outcome = check("options", "say", project, optim="sgd")
    assert outcome.result == "failed" and outcome.figure == "`adam_beta1: 0.8` is nothing there"


def test_another_schedule_and_another_adapter_are_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import peft
    import torch
    from transformers import Trainer

    def create_scheduler(self: Any, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1.0)
        return self.lr_scheduler

    own = peft.get_peft_model

    def smaller(model: Any, settings: Any) -> Any:
        settings.r = 1
        return own(model, settings)

    monkeypatch.setattr(Trainer, "create_scheduler", create_scheduler)
    monkeypatch.setattr(peft, "get_peft_model", smaller)
    outcome = check("options", "say", project)
    assert outcome.figure == "`lr_scheduler_type: cosine` is another LambdaLR there; `peft.r: 2` is 1 there"


@pytest.mark.parametrize(("experiment", "part"), [("sort", "classifier"), ("say", "lora_B")])
def test_a_part_that_is_not_saved_is_seen(experiment: str, part: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file, save_file

    own = modeling.save_model

    def losing(model: Any, target: Path) -> None:
        own(model, target)
        file = next(target.glob("*.safetensors"))
        save_file({name: tensor for name, tensor in load_file(file).items() if part not in name}, file, {"format": "pt"})

    monkeypatch.setattr(modeling, "save_model", losing)
    assert check("save_load", experiment, project).result == "failed"


def test_what_ends_a_check_in_an_error_is_reported(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import Trainer

    def broken(self: Any, *given: Any, **named: Any) -> Any:
        raise RuntimeError("shapes don't match\nmore")

    monkeypatch.setattr(Trainer, "training_step", broken)
    findings = preflight.look(asked("sort"))
    assert findings["accumulation"].figure == "RuntimeError: shapes don't match"
    with pytest.raises(PreflightError, match="the check came to no end"):
        preflight.refuse(findings)


@pytest.mark.parametrize("experiment", ["say", "sort"])
def test_the_training_after_it_is_the_same_to_the_byte(experiment: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = Path(f"results/{experiment}/seed0/train")
    found = []
    for look in (True, False):
        options.run_stage("train", folder, preflight=look)
        record = json.loads((folder / "record.json").read_bytes())
        found.append(
            {name: (folder / name).read_bytes() for name in record["files"]} | {"record.json": (folder / "record.json").read_bytes()}
        )
        assert (folder / "preflight.json").is_file() is look
        assert ("same_ids" in capfd.readouterr().out) is look
        shutil.copy(folder / "spec.json", project / "spec.json")
        shutil.rmtree(folder)
        folder.mkdir()
        shutil.move(project / "spec.json", folder / "spec.json")
    assert found[0] == found[1]
    assert any(name.endswith(".safetensors") for name in found[0])


def test_what_passed_is_remembered_for_the_same_work_only(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked: list[int] = []

    def look(spec: TrainSpec) -> preflight.Findings:
        looked.append(spec.seed)
        return {"mask": Outcome("passed", "a figure")}

    monkeypatch.setattr(preflight, "look", look)
    spec, folder = asked("say"), Path("results/say/seed0/train")
    for _ in range(2):
        preflight.before_training(spec, folder)
    assert looked == [0] and capsys.readouterr().out.endswith("preflight: passed before\n")
    preflight.before_training(spec.model_copy(update={"seed": 1}), folder)
    (project / "results/say/tokenize/manifest.json").write_text('{"record": "others"}', encoding="utf-8")
    preflight.before_training(spec.model_copy(update={"seed": 1}), folder)
    monkeypatch.setattr(preflight, "__version__", "0")
    preflight.before_training(spec.model_copy(update={"seed": 1}), folder)
    assert looked == [0, 1, 1, 1]


@pytest.mark.slow
def test_as_a_person_reads_it(project: Path) -> None:
    folder = "results/say/seed0/train"
    lines = {line.split()[0]: line for line in learning.command("preflight", folder).splitlines()}
    assert "passed          every option reaches the object that uses it             " in lines["options"]
    assert "not applicable  packed loss equals unpacked loss" in lines["packing"]
    told = json.loads(learning.command("preflight", "--json", f"{folder}/spec.json"))
    assert told["mask"]["result"] == "passed" and set(told["mask"]) == {"title", "result", "figure"}
    assert [path.name for path in Path(folder).iterdir()] == ["spec.json"]
    rewritten("say", lambda row: {**row, "labels": row["input_ids"]})
    failed = tiny.inside("train", folder, cwd=project)
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert "error: the preflight failed, and nothing is trained:\nmask: " in failed.stderr
    assert "docs/preflight.md says more; `preflight: off` goes on" in failed.stderr
    assert not Path(folder, "model").exists() and not Path(folder, "preflight.json").exists()
    learning.command("train", folder, "--preflight", "off")
    assert Path(folder, "model/adapter_model.safetensors").is_file()


def test_off_in_the_config_reaches_the_rule(fresh: Path) -> None:
    config = fresh / "config/config.yaml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("    method: sft\n", "    method: sft\n    preflight: off\n"), encoding="utf-8"
    )
    planned = tiny.run("snakemake", "-n", "-p", cwd=fresh).stdout
    assert "polar-tools train results/say/seed0/train/spec.json --preflight off >" in planned
    assert "polar-tools train results/sort/seed0/train/spec.json  >" in planned
    assert "preflight" not in (fresh / "results/say/seed0/train/spec.json").read_text(encoding="utf-8")


def test_it_looks_at_eight_rows_that_are_kept(project: Path) -> None:
    trial = Trial(asked("say"), project / "trial")
    assert len(trial.rows) == len(trial.data) == ROWS
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("results/say/tokenize/tokenizer")
    for row, ids in zip(trial.rows, trial.data["input_ids"], strict=True):
        assert row["prompt"] in tokenizer.decode(ids) and row["completion"] in tokenizer.decode(ids)
