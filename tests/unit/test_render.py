"""What a model is trained on: the tokens of the answer, its end, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from polar_tools.errors import ConfigError, DataError
from polar_tools.methods import base, classification, sft

SHARED = {"model": "m", "dataset": "d"}


@pytest.fixture(scope="module")
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "assets" / "llama")


def trained(tokenizer: Any, example: base.Example) -> str:
    return str(tokenizer.decode([label for label in example["labels"] if label != base.IGNORED]))


def test_answer_and_its_end_are_trained_on(tokenizer: Any) -> None:
    config = sft.Config(**SHARED, system_prompt="짧게 답해")
    example = sft.render(config, tokenizer, {}, [{"prompt": "뭐 해?", "completion": "자요"}])[0]
    assert trained(tokenizer, example) == "자요<|im_end|>"
    text = tokenizer.decode(example["input_ids"])
    assert text == "<|im_start|>system\n짧게 답해<|im_end|>\n<|im_start|>user\n뭐 해?<|im_end|>\n<|im_start|>assistant\n자요<|im_end|>\n"


def test_every_turn_of_the_assistant_is_trained_on(tokenizer: Any) -> None:
    turns = [("user", "a?"), ("assistant", "A."), ("user", "b?"), ("assistant", "B.")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    example = sft.render(sft.Config(**SHARED), tokenizer, {}, [row])[0]
    assert trained(tokenizer, example) == "A.<|im_end|>B.<|im_end|>"


def test_plain_text_and_bare_prompts_end_with_end_of_text(tokenizer: Any) -> None:
    plain, bare = (
        sft.render(sft.Config(**SHARED, chat_template="none"), tokenizer, {}, [row])[0]
        for row in ({"text": "all of it"}, {"prompt": "two and", "completion": " two"})
    )
    assert trained(tokenizer, plain) == "all of it<|im_end|>"
    assert trained(tokenizer, bare) == " two<|im_end|>"


def test_system_prompt_of_plain_text_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="system_prompt would be ignored"):
        sft.render(sft.Config(**SHARED, system_prompt="x"), tokenizer, {}, [{"text": "all of it"}])


def test_template_that_rewrites_earlier_turns_is_refused(tokenizer: Any, assets: Path) -> None:
    other = AutoTokenizer.from_pretrained(assets / "assets" / "llama")
    other.chat_template = "{{ messages|length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(DataError, match="changes earlier turns"):
        sft.render(sft.Config(**SHARED), other, {}, [{"prompt": "a", "completion": "b"}])


@pytest.mark.parametrize(("policy", "kept"), [("cut_right", [0, 1, 2]), ("cut_left", [2, 3, 4]), ("drop", None)])
def test_too_long_rows(policy: str, kept: list[int] | None) -> None:
    config = sft.Config(**SHARED, max_length=3, on_too_long=policy)
    fitted = base.fit(config, {"input_ids": [0, 1, 2, 3, 4], "labels": [0, 1, 2, 3, 4]})
    assert (None if fitted is None else fitted["input_ids"]) == kept
    assert (None if fitted is None else fitted["labels"]) == kept


def test_cut_of_a_text_keeps_the_encoders_marks() -> None:
    config = classification.Config(**SHARED, max_length=4, on_too_long="cut_right")
    assert classification.fit(config, {"input_ids": [101, 1, 2, 3, 4, 102], "labels": [7]}) == {
        "input_ids": [101, 1, 2, 102],
        "labels": [7],
    }
    left = config.model_copy(update={"on_too_long": "cut_left"})
    assert classification.fit(left, {"input_ids": [101, 1, 2, 3, 4, 102], "labels": [7]}) == {"input_ids": [101, 3, 4, 102], "labels": [7]}


def test_too_long_rows_fail_unless_told_otherwise() -> None:
    with pytest.raises(DataError, match="5 tokens, more than max_length 3"):
        base.fit(sft.Config(**SHARED, max_length=3), {"input_ids": [0] * 5, "labels": [0] * 5})


def test_label_that_training_never_saw_is_named(tokenizer: Any) -> None:
    config = classification.Config(**SHARED)
    features = classification.features(config, [{"text": "x", "label": "cat"}, {"text": "y", "label": "dog"}])
    with pytest.raises(DataError, match=r"\['cow'\] do not occur.*\['cat', 'dog'\]"):
        classification.render(config, tokenizer, features, [{"text": "moo", "label": "cow"}])
