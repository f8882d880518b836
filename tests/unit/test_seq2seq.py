"""What is particular to an encoder-decoder: what both halves read, how the decoder begins, ROUGE while training."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertTokenizer, EncoderDecoderModel, T5Config, T5ForConditionalGeneration, set_seed

from polar_tools.errors import ConfigError, DataError
from tests.cases import seq2seq as case
from tests.training import Trial

ROWS = [{"document": "what does the cat do?", "summary": "it purrs"}, {"document": "what does the dog do?", "summary": "it barks loudly"}]


@pytest.fixture(scope="module")
def models(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bart, t5, and pair: two encoders joined."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("seq2seq")
    case.make(folder, assets)
    made = folder / "assets"
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(made / "llama")
    size = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
    T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **size, decoder_start_token_id=0)).save_pretrained(made / "t5")
    EncoderDecoderModel.from_encoder_decoder_pretrained(str(made / "bert"), str(made / "bert")).save_pretrained(made / "pair")
    for name in ("t5", "pair"):
        tokenizer.save_pretrained(made / name)
    return made


@pytest.mark.parametrize("name", ["bart", "t5", "pair"])
def test_what_is_measured_is_what_is_trained_on(name: str, models: Path, tmp_path: Path) -> None:
    trial = Trial("seq2seq", models / name, ROWS, tmp_path, per_device_train_batch_size=2, max_steps=1, learning_rate=1e-9)
    trainer = trial.trainer(watched=True)
    measured = trial.predict(max_new_tokens=4)
    logged = trainer.evaluate()["eval_same_loss"]
    assert sum(row.loss for row in measured) / sum(row.tokens for row in measured) == pytest.approx(logged, rel=1e-4)
    assert [(row.input, row.reference) for row in measured] == [(row["document"], row["summary"]) for row in ROWS]


@pytest.mark.parametrize("name", ["bart", "t5", "pair"])
def test_what_is_saved_writes_the_same(name: str, models: Path, tmp_path: Path) -> None:
    trial = Trial("seq2seq", models / name, ROWS, tmp_path, max_steps=3, learning_rate=1e-2)
    trainer = trial.trainer()
    trainer.train()
    before = trial.predict(max_new_tokens=6)
    trainer.model.save_pretrained(tmp_path / "saved")
    trial.processor.save_pretrained(tmp_path / "saved")
    assert Trial("seq2seq", tmp_path / "saved", ROWS, tmp_path).predict(max_new_tokens=6) == before
    told = json.loads((tmp_path / "saved/generation_config.json").read_bytes())
    assert {"decoder_start_token_id", "pad_token_id", "eos_token_id"} <= set(told)


def test_rouge_is_logged_while_training_and_says_what_is_best(models: Path, tmp_path: Path) -> None:
    korean = [{"document": "고양이는 무엇을 하나요?", "summary": "고양이는 잔다"}] * 2
    fields = {"predict_with_generate": True, "generation_max_length": 64, "generation_num_beams": 2, "eval_datasets": {"same": "d"}}
    fields |= {"eval_strategy": "steps", "eval_steps": 20, "save_strategy": "steps", "save_steps": 20}
    fields |= {"load_best_model_at_end": True, "metric_for_best_model": "rouge_sum"}
    trainer = Trial("seq2seq", models / "bart", korean, tmp_path, max_steps=60, learning_rate=1e-2, **fields).trainer(watched=True)
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert before["eval_same_rougeL"] < 0.5 < after["eval_same_rougeL"] == 1.0
    assert {f"eval_same_{name}" for name in ("loss", "rouge1", "rouge2", "rougeL", "rougeLsum")} <= set(after)
    logged = [line["eval_same_rouge_sum"] for line in trainer.state.log_history if "eval_same_rouge_sum" in line]
    assert (trainer.state.best_metric, trainer.args.greater_is_better) == (max(logged), True)
    assert trainer.state.best_metric == sum(after[f"eval_same_{name}"] for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")) > 3.9


def test_prefix_and_lengths(models: Path, tmp_path: Path) -> None:
    fields = {"source_prefix": "answer: ", "max_length": 40, "max_target_length": 3, "on_too_long": "cut_right"}
    rows = [{"prompt": row["document"], "completion": row["summary"]} for row in ROWS]
    trial = Trial("seq2seq", models / "bart", rows, tmp_path, **fields)
    example = trial.method.fit(trial.config, trial.rendered()[1])
    assert trial.processor.decode(example["source_input_ids"]).startswith("answer: what does")
    assert (len(example["target_input_ids"]), example["target_labels"][-1]) == (3, trial.processor.eos_token_id), "its end stays"


def test_berts_target_does_not_begin_twice(models: Path, tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "it", "purrs", "what"]
    bert = shutil.copytree(models / "pair", tmp_path / "bert")
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        (bert / file).unlink(missing_ok=True)
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(bert)
    trial = Trial("seq2seq", bert, [{"document": "what", "summary": "it purrs"}], tmp_path)
    assert trial.rendered() == [{"source_input_ids": [2, 7, 3], "target_input_ids": [5, 6, 3], "target_labels": [5, 6, 3]}]
    trial.trainer()
    assert trial.model.generation_config.decoder_start_token_id == 2
    assert trial.model.generation_config.eos_token_id == 3


def without_beginning(folder: Path, target: Path) -> Path:
    """A copy of a model in which neither it nor its tokenizer says how a decoder begins."""
    shutil.copytree(folder, target)
    (target / "generation_config.json").unlink(missing_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(target)
    tokenizer.bos_token = None
    tokenizer.save_pretrained(target)
    return target


def test_a_decoder_must_know_how_to_begin(models: Path, tmp_path: Path) -> None:
    folder = without_beginning(models / "pair", tmp_path / "pair")
    with pytest.raises(ConfigError, match="decoder_start_token: neither the model nor its tokenizer says .*; name it"):
        Trial("seq2seq", folder, ROWS, tmp_path).trainer()
    with pytest.raises(ConfigError, match="decoder_start_token: `<no>` is not in this model's vocabulary"):
        Trial("seq2seq", folder, ROWS, tmp_path, decoder_start_token="<no>").trainer()
    named = Trial("seq2seq", folder, ROWS, tmp_path, decoder_start_token="<pad>")
    named.trainer()
    assert named.model.config.decoder_start_token_id == named.processor.pad_token_id


def test_which_length_was_exceeded_is_said(models: Path, tmp_path: Path) -> None:
    trial = Trial("seq2seq", models / "bart", ROWS, tmp_path, max_length=40, max_target_length=3)
    with pytest.raises(DataError, match="the `target` of a row has .* tokens, more than max_target_length 3; raise it"):
        trial.trainer()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"generation_num_beams": 4}, "generation_num_beams would be ignored without `predict_with_generate: true`"),
        ({"padding_side": "left"}, "padding_side: what a decoder writes begins at the left"),
    ],
)
def test_settings_that_make_no_sense(fields: dict[str, Any], says: str) -> None:
    from polar_tools.methods.seq2seq import Config

    with pytest.raises(ValueError, match=says):
        Config(model="m", dataset="d", **fields)


def test_messages_are_for_another_method(models: Path, tmp_path: Path) -> None:
    said = [{"prompt": [{"role": "user", "content": "what?"}], "completion": [{"role": "assistant", "content": "it"}]}]
    with pytest.raises(ConfigError, match="`prompt` holds messages; `method: sft`"):
        Trial("seq2seq", models / "bart", said, tmp_path).rendered()
