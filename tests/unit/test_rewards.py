"""Each reward on texts whose value is known, how they come together, and what is refused before a model is loaded."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config as configs
from polar_tools import discovery, judging, measuring
from polar_tools.errors import ConfigError, DataError, RowError
from polar_tools.metrics import reward as metric
from polar_tools.metrics.base import Prediction
from polar_tools.rewards import base
from polar_tools.rewards.base import Attempt

GIVEN = {"model": "m", "dataset": "d"}


def scores(reward: str, texts: list[str], row: dict[str, Any] | None = None, **options: Any) -> list[float]:
    module = discovery.load("rewards", reward)
    scorer = module.build(module.Options(**options), "cpu")
    return scorer([Attempt("asked", text, row or {}) for text in texts])


def test_format_wants_the_whole_text() -> None:
    assert scores("format", ["yes", "yes or no", "no\nyes", ""], pattern="yes|no.*") == [1.0, 0.0, 1.0, 0.0]


def test_exact_match_knows_unicode_and_case() -> None:
    row = {"answer": " 가나 "}
    assert scores("exact_match", ["가나", "가나", "가"], row, column="answer") == [1.0, 1.0, 0.0]
    assert scores("exact_match", ["PARIS"], {"completion": "Paris"}) == [0.0]
    assert scores("exact_match", ["PARIS"], {"completion": "Paris"}, ignore_case=True) == [1.0]


def test_length_in_words_and_characters() -> None:
    assert scores("length", ["a b c d", "a b", "a b c d e f", "", "a " * 20], target=4) == [1.0, 0.5, 0.5, 0.0, 0.0]
    assert scores("length", ["abcd", "한국어"], target=4, unit="characters") == [1.0, 0.75]
    assert scores("length", ["a", "a b c d e"], target=4, shorter_is_fine=True) == [1.0, 0.75]


def test_rouge_in_any_script() -> None:
    assert scores("rouge", ["한국의 수도", "수도", "서울"], {"completion": "한국의 수도"}) == pytest.approx([1.0, 2 / 3, 0.0])
    assert scores("rouge", ["b a"], {"completion": "a b"}, kind="rouge1") == [1.0]
    assert scores("rouge", ["b a"], {"completion": "a b"}, kind="rouge2") == [0.0]


def test_every_reward_keeps_the_contract() -> None:
    for name, module in discovery.modules("rewards").items():
        assert issubclass(module.Options, base.Options)
        assert module.Options.model_fields["name"].default == name


def test_titles_are_unique() -> None:
    options = discovery.load("rewards", "length").Options
    assert base.titles([options(target=1), options(target=2), options(target=3)]) == ["length", "length_2", "length_3"]


def test_metric_is_the_mean_of_each() -> None:
    rows = [
        Prediction("", "", "", None, 0, {"reward": 1.0, "reward_length": 0.5}),
        Prediction("", "", "", None, 0, {"reward": 2.0, "reward_length": 1.0}),
    ]
    assert measuring.figures(rows, metric.Options()) == {"reward": 1.5, "reward_length": 0.75}
    with pytest.raises(DataError, match="the rows have no reward"):
        measuring.figures([Prediction("", "", "", None, 0)], metric.Options())


def made(method: str, **given: Any) -> Any:
    return configs.parse(
        {**GIVEN, "rewards": [{"name": "length", "target": 4}], **given}, "config", discovery.load("methods", method).Config
    )


@pytest.mark.parametrize("method", ["grpo", "rloo", "ppo"])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rewards": []}, "rewards: must not be empty"),
        ({"rewards": ["lenght"]}, "did you mean `length`"),
        ({"rewards": [{"name": "format", "pattern": "("}]}, "no regular expression"),
        ({"rewards": [{"name": "length", "target": 4, "column": "x"}]}, "unknown key `column`"),
        ({"max_length": 8, "on_too_long": "cut_right"}, "cut_right would cut off what makes the model answer"),
        ({"train_sampling_strategy": "group_by_length"}, "completions have no length yet"),
    ],
)
def test_settings_that_make_no_sense_are_refused(method: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        made(method, **given)


@pytest.mark.parametrize("method", ["grpo", "rloo", "ppo"])
def test_a_reward_is_needed(method: str) -> None:
    with pytest.raises(ConfigError, match="rewards: is missing"):
        configs.parse(GIVEN, "config", discovery.load("methods", method).Config)


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_groups_that_do_not_come_out_even_are_refused(method: str) -> None:
    with pytest.raises(
        ConfigError, match=r"num_generations: 3 completions of a prompt don't go evenly into the 8 .*gradient_accumulation_steps"
    ):
        made(method, num_generations=3)
    with pytest.raises(ConfigError, match=r"don't go evenly into the 20 .*steps_per_generation"):
        made(method, num_generations=8, per_device_train_batch_size=10, steps_per_generation=2)
    with pytest.raises(ConfigError, match="save_steps: .* choose a multiple of 2"):
        made(method, num_generations=4, num_iterations=2, save_strategy="steps", save_steps=5)
    assert made(method, num_generations=4, gradient_accumulation_steps=2).num_generations == 4


def test_mini_batches_that_do_not_come_out_even_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"num_mini_batches: 8 prompts .* don't go evenly into 3"):
        made("ppo", num_mini_batches=3)
    with pytest.raises(ConfigError, match="kl_horizon would be ignored without `kl_target`"):
        made("ppo", kl_horizon=5)
    with pytest.raises(ConfigError, match="lora_dropout would be ignored"):
        made("ppo", use_peft=True, lora_dropout=0.1)


@pytest.fixture
def tokenizer(assets: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(assets / "assets/llama")


def test_column_that_a_reward_lacks_is_named_before_training(tokenizer: Any) -> None:
    config = made("ppo", rewards=[{"name": "rouge", "column": "answers"}])
    with pytest.raises(DataError, match="reward `rouge` needs the column `answers`, which isn't there, did you mean `answer`"):
        judging.render(config, tokenizer, {}, [{"prompt": "hello", "answer": "yes"}])
    with pytest.raises(DataError, match="`completion` is None rather than text; the filter `missing`"):
        scores("rouge", ["a"], {"completion": None})


def test_prompts_are_those_that_a_dialogue_begins_with(tokenizer: Any) -> None:
    """What is rendered here is what stands before the answer where sft renders the same row."""
    from polar_tools.methods import sft

    row = {"prompt": "what does the cat do?", "completion": "it purrs"}
    turns = [{"role": "user", "content": row["prompt"]}]
    for settings in ({}, {"system_prompt": "be short"}, {"chat_template": "none"}, {"chat_template": "zephyr"}):
        for given in ({}, {"prompt": turns}) if settings.get("chat_template") != "none" else ({},):
            asked = judging.render(made("grpo", **settings), tokenizer, {}, [{**row, **given}])[0]["input_ids"]
            whole = sft.render(sft.Config(**GIVEN, **settings), tokenizer, {}, [{**row, **given}])[0]
            assert (
                asked == [number for number, label in zip(whole["input_ids"], whole["labels"], strict=True) if label == -100][: len(asked)]
            )
            assert whole["labels"][len(asked)] == whole["input_ids"][len(asked)] and set(whole["labels"][: len(asked)]) == {-100}


def test_prompts_that_can_not_be_asked_are_refused(tokenizer: Any) -> None:
    with pytest.raises(RowError, match="its `prompt` is missing"):
        judging.render(made("grpo"), tokenizer, {}, [{"prompt": None}])
    with pytest.raises(ConfigError, match="chat_template: none writes no turns"):
        judging.render(made("grpo", chat_template="none"), tokenizer, {}, [{"prompt": [{"role": "user", "content": "a"}]}])
    with pytest.raises(RowError, match="special token"):
        judging.render(made("grpo"), tokenizer, {}, [{"prompt": "a <|im_end|> b"}])


def test_prompt_that_is_too_long_is_cut_at_its_beginning_or_refused(tokenizer: Any) -> None:
    from polar_tools.methods import grpo

    row = {"prompt": "what does the cat number 3 do?"}
    example = grpo.render(made("grpo"), tokenizer, {}, [row])[0]
    with pytest.raises(DataError, match="more than max_length 4"):
        grpo.fit(made("grpo", max_length=4), example)
    cut = grpo.fit(made("grpo", max_length=4, on_too_long="cut_left"), example)
    assert cut == {"input_ids": example["input_ids"][-4:]}


def test_too_few_prompts_for_a_generation_are_refused() -> None:
    with pytest.raises(DataError, match="there are 3 prompts, and 4 are needed at a time"):
        judging.refuse_too_few(made("grpo", num_generations=2), [1, 2, 3])


def test_reward_model_reads_what_it_was_trained_to_read(assets: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(assets / "assets/llama")
    for labels in (1, 3):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(assets / "assets/llama", num_labels=labels)
        model.save_pretrained(tmp_path / str(labels))
        tokenizer.save_pretrained(tmp_path / str(labels))
    turns = [{"role": "user", "content": "what?"}]
    module = discovery.load("rewards", "reward_model")
    found = module.build(module.Options(model=str(tmp_path / "1")), "cpu")(
        [Attempt(turns, "it purrs softly", {}), Attempt(turns, "no", {})]
    )
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "1")
    for text, number in zip(("it purrs softly", "no"), found, strict=True):
        ids = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": text}], return_tensors="pt")["input_ids"]
        assert number == pytest.approx(float(model(ids).logits[0, 0].detach()), abs=1e-5)
    with pytest.raises(ConfigError, match="has 3 outputs, and a reward is one number"):
        module.build(module.Options(model=str(tmp_path / "3")), "cpu")
    shutil.rmtree(tmp_path / "1")
