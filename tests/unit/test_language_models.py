"""Plain text for a model that writes: blocks cut across documents, and the loss of each document."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from polar_tools import inference
from polar_tools.errors import ConfigError, DataError
from tests.training import Trial, sayings


def texts(assets: Path, rows: int) -> list[dict[str, str]]:
    return [{"text": row["answer"]} for row in sayings(assets)[:rows]]


def test_blocks_are_cut_across_documents_and_nothing_is_lost(assets: Path, tmp_path: Path) -> None:
    trial = Trial("causal_lm", assets / "assets/llama", texts(assets, 9), tmp_path, block_size=20)
    trainer = trial.trainer(watched=True)
    blocks = [row["input_ids"] for row in trainer.train_dataset]
    documents = [example["input_ids"] for example in trial.rendered()]
    assert all(ids[-1] == trial.processor.eos_token_id for ids in documents)
    assert [number for block in blocks for number in block] == [number for ids in documents for number in ids]
    assert {len(block) for block in blocks[:-1]} == {20}
    assert 0 < len(blocks[-1]) <= 20
    assert all(row["labels"] == row["input_ids"] for row in trainer.train_dataset)
    assert [row["input_ids"] for row in trainer.eval_dataset["same"]] == blocks


def test_without_block_size_each_document_is_a_row(assets: Path, tmp_path: Path) -> None:
    trial = Trial("causal_lm", assets / "assets/llama", texts(assets, 3), tmp_path, add_eos_token=False)
    assert [row["input_ids"] for row in trial.trainer().train_dataset] == [example["input_ids"] for example in trial.rendered()]


def test_loss_of_a_document_longer_than_a_block_is_that_of_its_blocks(assets: Path, tmp_path: Path) -> None:
    rows = [{"text": " ".join(row["text"] for row in texts(assets, 4))}, texts(assets, 1)[0]]
    whole, blocks = (Trial("causal_lm", assets / "assets/llama", rows, tmp_path, **fields).predict() for fields in ({}, {"block_size": 16}))
    long = Trial("causal_lm", assets / "assets/llama", rows, tmp_path).rendered()[0]["input_ids"]
    assert whole[0].tokens == len(long) - 1
    assert blocks[0].tokens == len(long) - -(-len(long) // 16), "the first token of each block is not guessed"
    assert blocks[0].prediction is None
    assert blocks[0].loss / blocks[0].tokens == pytest.approx(whole[0].loss / whole[0].tokens, rel=0.05)


def test_too_long_a_test_document_is_named(assets: Path, tmp_path: Path) -> None:
    model, rows = assets / "assets/llama", [{"text": "it"}, {"text": "it barks loudly at the garden gate"}]
    with pytest.raises(DataError, match="more than max_length 4"):
        Trial("causal_lm", model, rows, tmp_path, max_length=4).predict()
    dropped = Trial("causal_lm", model, rows, tmp_path, max_length=4, on_too_long="drop").predict()
    assert dropped[1].tokens == 3, "no test row goes missing"


def test_end_of_text_must_be_there(assets: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "assets/llama")
    trial = Trial("causal_lm", assets / "assets/llama", texts(assets, 1), tmp_path)
    tokenizer.eos_token = None
    trial.processor = tokenizer
    with pytest.raises(ConfigError, match="add_eos_token: false"):
        trial.rendered()


@pytest.mark.parametrize("by_slices", [True, False])
def test_right_tokens_are_those_that_are_the_most_probable(assets: Path, by_slices: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(assets / "assets/llama").eval()
    ids = list(range(3, 40))
    with torch.inference_mode():
        best = model(torch.tensor([ids])).logits.argmax(-1)[0, :-1].tolist()
    followed = ids[:1]
    while len(followed) < 20:  # what it would write itself, but for every third token
        with torch.inference_mode():
            following = int(model(torch.tensor([followed])).logits[0, -1].argmax())
        followed.append(following if len(followed) % 3 else (following + 1) % 400)
    if not by_slices:
        monkeypatch.setattr(inference.head_loss, "head_of", lambda model: None)
    examples = [{"input_ids": ids, "labels": ids}, {"input_ids": followed, "labels": [-100] * 5 + followed[5:]}]
    one, other = inference.reference_losses(model, examples)
    assert one.right == sum(token == wanted for token, wanted in zip(best, ids[1:], strict=True))
    assert (other.tokens, other.right) == (15, 10)
