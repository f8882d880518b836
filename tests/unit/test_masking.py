"""What is hidden from an encoder: whole words, other ones in each epoch, the same after an interruption."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from polar_tools.errors import ConfigError
from polar_tools.methods import base, masked_lm
from polar_tools.trainers.masking import Masking
from tests.cases import masked_lm as case
from tests.training import Trial, sayings

MASK = 9
ROW = {"input_ids": [0, 1, 2, 3, 4, 5, 0], "labels": [-100, 1, 2, 3, 4, 5, -100], "word_ids": [-1, 0, 0, 0, 1, 1, -1]}
LONG = {"input_ids": [5] * 4000, "labels": [5] * 4000, "word_ids": list(range(4000))}


@pytest.fixture(scope="module")
def model(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("masking")
    case.make(folder, assets)
    return folder / "assets/masking"


def hidden(seen: dict[str, list[int]]) -> set[int]:
    return {place for place, label in enumerate(seen["labels"]) if label != base.IGNORED}


def test_words_are_hidden_whole_and_marks_never() -> None:
    whole = Masking(MASK, 10, 0.5, whole_words=True)
    rows = [whole.hide(ROW, 0, epoch, 0) for epoch in range(50)]
    assert {frozenset(hidden(row)) for row in rows} == {frozenset({1, 2, 3}), frozenset({4, 5}), frozenset({1, 2, 3, 4, 5})}
    for row in rows:
        assert all(row["input_ids"][place] == MASK and row["labels"][place] == ROW["input_ids"][place] for place in hidden(row))
        assert all(row["input_ids"][place] == ROW["input_ids"][place] for place in set(range(7)) - hidden(row))
    single = Masking(MASK, 10, 0.5, whole_words=False)
    assert any(len(hidden(single.hide(ROW, 0, epoch, 0)) & {1, 2, 3}) == 1 for epoch in range(50))


def test_something_of_every_row_is_hidden_and_no_more_than_asked_for() -> None:
    rare = Masking(MASK, 10, 0.001, whole_words=False)
    assert all(len(hidden(rare.hide(ROW, epoch))) == 1 for epoch in range(50))
    assert len(hidden(Masking(MASK, 10, 0.15, whole_words=False).hide(LONG, 0))) == pytest.approx(600, abs=70)


def test_shares_of_masks_and_of_other_tokens() -> None:
    seen = Masking(MASK, 1000, 0.5, False, mask_replace_prob=0.6, random_replace_prob=0.3).hide(LONG, 0)
    kinds = [seen["input_ids"][place] for place in hidden(seen)]
    assert kinds.count(MASK) / len(kinds) == pytest.approx(0.6, abs=0.05)
    assert kinds.count(5) / len(kinds) == pytest.approx(0.1, abs=0.03)


def test_seed_epoch_and_row_decide() -> None:
    masking = Masking(MASK, 10, 0.3, whole_words=False)
    assert masking.hide(LONG, 1, 2, 3) == masking.hide(LONG, 1, 2, 3)
    others = [hidden(masking.hide(LONG, *seeds)) for seeds in ((1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0))]
    assert all(one != other for place, one in enumerate(others) for other in others[:place])


def test_what_is_hidden_goes_on_where_it_stopped(model: Path, assets: Path, tmp_path: Path) -> None:
    rows = [{"text": row["answer"]} for row in sayings(assets)[:12]]
    fields = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 4, "save_total_limit": 9, "per_device_train_batch_size": 4}
    Trial("masked_lm", model, rows, tmp_path, **fields).trainer().train()
    whole = load_file(tmp_path / "checkpoint-6/model.safetensors")
    again = Trial("masked_lm", model, rows, tmp_path, **fields).trainer()
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert again.state.global_step == 6
    assert all(torch.equal(whole[name], value) for name, value in load_file(tmp_path / "checkpoint-6/model.safetensors").items())
    assert again.train_dataset.epoch == 1


def test_figures_are_those_of_the_model_itself(model: Path, assets: Path, tmp_path: Path) -> None:
    rows = [{"text": row["answer"]} for row in sayings(assets)[:5]]
    trial = Trial("masked_lm", model, rows, tmp_path, whole_word_mask=True)
    found, again = trial.predict(), trial.predict()
    assert found == again
    for place, (example, row) in enumerate(zip(trial.rendered(), found, strict=True)):
        seen = Masking(trial.processor.mask_token_id, 1, 0.15, whole_words=True).hide(example, place)
        labels = torch.tensor(seen["labels"])
        logits = trial.model(torch.tensor([seen["input_ids"]])).logits[0]
        assert row.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum")), rel=1e-4)
        assert row.figures["right_tokens"] == float((logits.argmax(-1) == labels).sum())
        assert row.tokens == len(hidden(seen)) == row.input.count("<mask>")


def test_a_model_without_a_mask_is_refused(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no mask token"):
        Trial("masked_lm", assets / "assets/bert", [], tmp_path)


def shares(**fields: float) -> masked_lm.Config:
    return masked_lm.Config(model="m", dataset="d", **fields)


@pytest.mark.parametrize("fields", [{"mask_replace_prob": 0.95}, {"random_replace_prob": 0.3}, {"mlm_probability": 0.0}])
def test_shares_that_cannot_be(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"exceed 1|greater than 0"):
        shares(**fields)


def words(example: Sequence[int]) -> int:
    return len(set(example) - {-1})


def test_words_are_those_of_the_tokenizer(model: Path, tmp_path: Path) -> None:
    trial = Trial("masked_lm", model, [{"text": "it barks loudly"}, {"text": "고양이가 잠을 잔다"}], tmp_path)
    assert [words(example["word_ids"]) for example in trial.rendered()] == [3, 3]
