"""The loss of a batch is the same however the batch is divided, and however its rows are put together."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from polar_tools.errors import ConfigError
from tests.cases import masked_lm, seq2seq
from tests.training import Trial, sayings

KINDS = {"cat": [0, 2], "dog": [1], "fish": []}


@pytest.fixture(scope="module")
def models(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every tiny model that a case makes, without dropout, which is drawn batch by batch."""
    torch.set_num_threads(1)
    made = {case: tmp_path_factory.mktemp("models") for case in (masked_lm, seq2seq)}
    for case, folder in made.items():
        case.make(folder, assets)
    (made[seq2seq] / "assets/bart").rename(made[masked_lm] / "assets/bart")
    for path in made[masked_lm].glob("assets/*/config.json"):
        told = json.loads(path.read_bytes())
        path.write_text(json.dumps({name: 0.0 if "dropout" in name else value for name, value in told.items()}))
    return made[masked_lm] / "assets"


def rows(assets: Path, name: str, **fields: Any) -> list[dict[str, Any]]:
    some = list(itertools.islice(sayings(assets), 8))
    if name == "classification" and fields.get("problem_type") == "regression":
        return [{"text": row["answer"], "label": len(row["answer"]) / 10} for row in some]
    if name == "classification":
        several = fields.get("problem_type") == "multi_label_classification"
        return [{"text": row["answer"], **({"labels": KINDS[row["kind"]]} if several else {"label": row["kind"]})} for row in some]
    texts = {"sft": ("prompt", "completion"), "seq2seq": ("document", "summary")}.get(name, ("unread", "text"))
    return [dict(zip(texts, (row["question"], row["answer"]), strict=True)) for row in some]


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("sft", "llama", {}),
    ("sft", "llama", {"loss_type": "dft"}),
    ("causal_lm", "llama", {}),
    ("masked_lm", "masking", {"whole_word_mask": True}),
    ("seq2seq", "bart", {"label_smoothing_factor": 0.1}),
    ("classification", "bert", {"label_smoothing_factor": 0.1}),
    ("classification", "bert", {"problem_type": "multi_label_classification"}),
    ("classification", "bert", {"problem_type": "regression"}),
]


@pytest.mark.parametrize(("name", "model", "fields"), CASES)
def test_steps_of_accumulated_batches(name: str, model: str, fields: dict[str, Any], assets: Path, models: Path, tmp_path: Path) -> None:
    found = [
        Trial(
            *(name, models / model, rows(assets, name, **fields), tmp_path),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=8 // size,
            max_steps=1,
            **fields,
        ).first_step()
        for size in (8, 2)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("adapter", [{}, {"use_peft": True}], ids=["whole", "adapter"])
def test_packed_rows_have_the_loss_that_they_have_alone(adapter: dict[str, Any], assets: Path, tmp_path: Path) -> None:
    model, told = assets / "assets/llama", rows(assets, "sft")
    trials = [
        Trial("sft", model, told, tmp_path, max_length=120, per_device_train_batch_size=8, max_steps=1, **adapter, **packing)
        for packing in ({}, {"packing": True}, {"packing": True, "packing_strategy": "wrapped"})
    ]
    sizes = [len(trial.trainer().train_dataset) for trial in trials]
    assert sizes[0] == 8 > sizes[1] >= sizes[2]
    alone, packed, wrapped = (trial.first_step() for trial in trials)
    assert alone == pytest.approx(packed, rel=1e-5)
    assert alone["loss"] != pytest.approx(wrapped["loss"], rel=1e-5), "there rows do see each other"


def test_packing_needs_a_length() -> None:
    from polar_tools.methods.sft import Config

    with pytest.raises(ValueError, match="packing needs `max_length`"):
        Config(model="m", dataset="d", packing=True)
    with pytest.raises(ValueError, match="packing_strategy would be ignored without `packing: true`"):
        Config(model="m", dataset="d", packing_strategy="wrapped")


def test_token_accuracy_and_entropy_are_logged(assets: Path, tmp_path: Path) -> None:
    one_step = {"per_device_train_batch_size": 8, "max_steps": 1, "learning_rate": 1e-9}
    trial = Trial("sft", assets / "assets/llama", rows(assets, "sft"), tmp_path, **one_step)
    trainer = trial.trainer(watched=True)
    trainer.train()
    seen, held = trainer.state.log_history[0], trainer.evaluate()
    ids, labels = ([example[name] for example in trial.rendered()] for name in ("input_ids", "labels"))
    logits = [trial.model(torch.tensor([row])).logits[0, :-1].log_softmax(-1) for row in ids]
    trained = [torch.tensor(row[1:]).ne(-100) for row in labels]
    right = [(one.argmax(-1) == torch.tensor(row[1:]))[mask] for one, row, mask in zip(logits, labels, trained, strict=True)]
    entropy = [-(one.exp() * one).sum(-1)[mask] for one, mask in zip(logits, trained, strict=True)]
    assert seen["mean_token_accuracy"] == pytest.approx(float(torch.cat(right).float().mean()), abs=1e-6)
    assert seen["entropy"] == pytest.approx(float(torch.cat(entropy).mean()), rel=1e-4)
    assert {"eval_mean_token_accuracy", "eval_entropy"} <= set(held)


def test_smoothing_of_what_is_no_class_is_refused(assets: Path, tmp_path: Path) -> None:
    told = rows(assets, "classification", problem_type="multi_label_classification")
    trial = Trial("classification", assets / "assets/bert", told, tmp_path, label_smoothing_factor=0.1)
    with pytest.raises(ConfigError, match="label_smoothing_factor is for one label a text"):
        trial.trainer()
