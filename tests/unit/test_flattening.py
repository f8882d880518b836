"""Rows behind each other instead of filled up: the same training, and only where it is less work."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from polar_tools.trainers.flattening import Flattening
from tests.training import Trial, sayings

SIZES = {"num_hidden_layers": 2, "hidden_size": 32, "vocab_size": 400}


def batches(trial: Trial) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Loss and gradient of the first step, and what the model was given."""
    given: list[dict[str, Any]] = []
    trainer = trial.trainer()
    step = trainer.compute_loss
    trainer.compute_loss = lambda model, inputs, *more, **named: (given.append(dict(inputs)), step(model, inputs, *more, **named))[1]
    trainer.train()
    return {name: trainer.state.log_history[0][name] for name in ("loss", "grad_norm")}, given


def trial(model: Path, rows: list[dict[str, str]], folder: Path, **fields: Any) -> Trial:
    told = {"max_steps": 1, "per_device_train_batch_size": len(rows), "learning_rate": 1e-3, **fields}
    return Trial("sft", model, rows, folder, **told)


def unlike(assets: Path) -> list[dict[str, str]]:
    """Rows of which one is much longer than the others."""
    rows = sayings(assets)[:6]
    return [
        {"prompt": " ".join([row["question"]] * (9 if place == 2 else 1)), "completion": row["answer"]} for place, row in enumerate(rows)
    ]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_row_trains_as_it_does_alone(attention: str, assets: Path, tmp_path: Path) -> None:
    rows, model = unlike(assets), assets / "assets/llama"
    flat, given = batches(trial(model, rows, tmp_path / "flat", attn_implementation=attention))
    padded, filled = batches(trial(model, rows, tmp_path / "padded", attn_implementation=attention, padding_free=False))
    assert flat == pytest.approx(padded, rel=1e-4)
    assert given[0]["input_ids"].shape == (1, int(filled[0]["attention_mask"].sum()))
    assert filled[0]["input_ids"].shape[0] == len(rows)


def test_rows_of_one_length_are_left_beside_each_other(assets: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "what does the cat do?", "completion": "it purrs"}] * 6
    _, given = batches(trial(assets / "assets/llama", rows, tmp_path))
    assert given[0]["input_ids"].shape[0] == 6
    _, told = batches(trial(assets / "assets/llama", rows, tmp_path, padding_free=True))
    assert told[0]["input_ids"].shape[0] == 1


def test_one_long_row_is_not_worth_pairs_of_all(assets: Path) -> None:
    """Behind each other, sixteen rows of a thousand tokens would look at sixteen times as many pairs."""
    collator = Flattening(0, width=64)
    long = [{"input_ids": [1] * length, "labels": [1] * length} for length in (1000, *[900] * 15)]
    assert collator(long)["input_ids"].shape == (16, 1000)
    assert collator([*long[:1], *({"input_ids": [1] * 9, "labels": [1] * 9} for _ in range(15))])["input_ids"].shape == (1, 1135)


def test_a_model_that_mixes_what_lies_behind_each_other_is_given_padded_rows(assets: Path, tmp_path: Path) -> None:
    """One with states that go on from token to token."""
    torch.manual_seed(0)
    model = transformers.MambaForCausalLM(transformers.MambaConfig(**SIZES, state_size=4))
    model.save_pretrained(tmp_path / "mamba")
    transformers.AutoTokenizer.from_pretrained(assets / "assets/llama").save_pretrained(tmp_path / "mamba")
    _, given = batches(trial(tmp_path / "mamba", unlike(assets), tmp_path / "t", attn_implementation="eager"))
    assert given[0]["input_ids"].shape[0] == 6
