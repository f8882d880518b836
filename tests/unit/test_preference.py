"""Preferences: the trainers get what was rendered, every loss takes a step, and what can't be right is said."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError
from transformers import AutoTokenizer

from polar_tools import conversations, marks, measuring, modeling, tokens
from polar_tools.errors import ConfigError, DataError
from polar_tools.methods import base, dpo, kto, orpo, reward
from polar_tools.metrics import desirable_auc, margin, preference_accuracy
from polar_tools.metrics.base import Prediction
from tests.unit.test_render import made

SHARED: Mapping[str, Any] = {"model": "m", "dataset": "d", "threads": 1}
PAIRS = [{"prompt": f"what does the cat number {n} do?", "chosen": "it purrs", "rejected": "it barks " * (n + 1)} for n in range(4)]
ANSWERS = [
    {"prompt": pair["prompt"], "completion": pair["chosen" if n % 2 else "rejected"], "label": bool(n % 2)} for n, pair in enumerate(PAIRS)
]
USER, CAT, DOG = ({"role": role, "content": text} for role, text in [("user", "who?"), ("assistant", "the cat"), ("assistant", "the dog")])
LOSSES = get_args(dpo._LossType)


@pytest.fixture
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "assets" / "llama")


def trainer_of(method: ModuleType, rows: list[dict[str, Any]], assets: Path, folder: Path, **fields: Any) -> Any:
    """The trainer of a method on rows, as the stages put it together."""
    kind = "bert" if method is reward else "llama"
    given = {"per_device_train_batch_size": len(rows), "max_steps": 1, "train_sampling_strategy": "sequential", "learning_rate": 0.1}
    config = method.Config(**{**SHARED, **given, **fields})
    path = str(assets / "assets" / kind)
    processor = method.set_up(config, modeling.load_processor(path, method, config))
    torch.manual_seed(0)
    model = modeling.load_model(path, method, config, method.features(config, rows), adapter=True)
    examples = shown(method, rows, processor, **fields)
    run = {"output_dir": str(folder), "use_cpu": True, "report_to": "none", "disable_tqdm": True, "seed": 0}
    data = Dataset.from_list(examples)
    return method.build_trainer(config, model, processor, data, {"watched": data}, [], **run)


def shown(method: ModuleType, rows: list[dict[str, Any]], processor: Any, **fields: Any) -> list[base.Example]:
    """Rows as the tokenize stage writes them."""
    config = method.Config(**{**SHARED, **fields})
    examples = [method.fit(config, one) for one in method.render(config, method.set_up(config, processor), {}, rows)]
    for row, example in zip(rows, examples, strict=True):
        method.check(config, processor, row, example)
    return examples


def unpadded(batch: Mapping[str, torch.Tensor], prefix: str = "") -> list[tuple[list[int], list[int]]]:
    """The ids of each sequence of a batch, and those that are trained on."""
    columns = [batch[f"{prefix}{name}"].tolist() for name in ("input_ids", "attention_mask", "completion_mask")]
    rows = [[triple for triple in zip(*row, strict=True) if triple[1]] for row in zip(*columns, strict=True)]
    return [([number for number, _, _ in row], [number for number, _, trained in row if trained]) for row in rows]


def told(ids: list[int], labels: list[int]) -> tuple[list[int], list[int]]:
    return ids, [label for label in labels if label != marks.IGNORED]


@pytest.mark.parametrize("method", [dpo, orpo])
def test_trainer_of_pairs_gets_ids_and_masks_as_they_are_shown(method: ModuleType, tokenizer: Any, assets: Path, tmp_path: Path) -> None:
    examples = shown(method, PAIRS, tokenizer)
    [batch] = trainer_of(method, PAIRS, assets, tmp_path).get_train_dataloader()
    both = [told(one[f"{answer}_input_ids"], one[f"{answer}_labels"]) for answer in ("chosen", "rejected") for one in examples]
    assert unpadded(batch) == both
    assert [tokenizer.decode(trained) for _, trained in both][:2] == ["it purrs<|im_end|>"] * 2


def test_kto_gets_its_answers_and_each_prompt_with_another_answer(tokenizer: Any, assets: Path, tmp_path: Path) -> None:
    examples = shown(kto, ANSWERS, tokenizer)
    [batch] = trainer_of(kto, ANSWERS, assets, tmp_path).get_train_dataloader()
    answers = [told(one["input_ids"], one["labels"]) for one in examples]
    assert unpadded(batch) == answers and batch["label"].tolist() == [False, True, False, True]
    prompts = [one["input_ids"][: one["labels"].count(marks.IGNORED) - 1] for one in examples]  # a line break stands behind the answer
    others = unpadded(batch, "KL_")
    assert [trained for _, trained in others] == [trained for _, trained in [answers[-1], *answers[:-1]]]
    assert all(ids[: len(prompt)] == prompt for (ids, _), prompt in zip(others, prompts, strict=True))


def test_reward_model_gets_whole_answers_and_margins(tokenizer: Any, assets: Path, tmp_path: Path) -> None:
    rows = [{**pair, "margin": number / 2} for number, pair in enumerate(PAIRS)]
    [batch] = trainer_of(reward, rows, assets, tmp_path).get_train_dataloader()
    ids = [
        [number for number, seen in zip(*row, strict=True) if seen]
        for row in zip(batch["input_ids"].tolist(), batch["attention_mask"].tolist(), strict=True)
    ]
    examples = shown(reward, rows, tokenizer)
    assert ids == [one[f"{answer}_input_ids"] for answer in ("chosen", "rejected") for one in examples]
    assert batch["margin"].tolist() == [0, 0.5, 1, 1.5]


def step(trainer: Any) -> dict[str, Any]:
    """What is logged of a training of one step, after which the model is another."""
    before = [parameter.detach().clone() for parameter in trainer.model.parameters() if parameter.requires_grad]
    trainer.train()
    after = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    return next(entry for entry in trainer.state.log_history if "loss" in entry)


FEW = {"logging_steps": 1, "save_strategy": "no"}


@pytest.mark.parametrize("loss", [pytest.param(loss, marks=() if loss in ("sigmoid", "exo_pair") else pytest.mark.slow) for loss in LOSSES])
def test_every_loss_of_dpo_takes_a_step(loss: str, assets: Path, tmp_path: Path) -> None:
    smoothing = {"label_smoothing": 0.1} if loss in ("robust", "exo_pair") else {}
    logged = step(trainer_of(dpo, PAIRS, assets, tmp_path, loss_type=loss, **smoothing, **FEW))
    assert {f"rewards/{name}" for name in ("chosen", "rejected", "accuracies", "margins")} | {"logps/chosen", "logps/rejected"} <= set(
        logged
    )


def test_dpo_knows_the_losses_of_trl() -> None:
    from trl import DPOConfig

    said = DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    assert all(f"`'{loss}'`" in said for loss in LOSSES) and said.count("`'") == len(LOSSES)


def test_several_losses_are_weighed(assets: Path, tmp_path: Path) -> None:
    trainer = trainer_of(dpo, PAIRS, assets, tmp_path, loss_type=["sigmoid", "sft"], loss_weights=[0.5, 2.0], **FEW)
    assert (trainer.loss_types, trainer.loss_weights) == (["sigmoid", "sft"], [0.5, 2.0])
    step(trainer)


@pytest.mark.parametrize("loss", get_args(kto.Config.model_fields["loss_type"].annotation))
def test_every_loss_of_kto_takes_a_step(loss: str, assets: Path, tmp_path: Path) -> None:
    logged = step(trainer_of(kto, ANSWERS, assets, tmp_path, loss_type=loss, **FEW))
    assert {"kl", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen"} <= set(logged)


def test_orpo_and_reward_log_what_is_watched(assets: Path, tmp_path: Path) -> None:
    odds = step(trainer_of(orpo, PAIRS, assets, tmp_path / "orpo", **FEW))
    assert {"rewards/accuracies", "rewards/margins", "log_odds_ratio", "nll_loss"} <= set(odds)
    assert odds["loss"] == pytest.approx(odds["nll_loss"] - 0.1 * odds["log_odds_ratio"], rel=1e-5)
    judged = step(trainer_of(reward, PAIRS, assets, tmp_path / "reward", center_rewards_coefficient=0.01, **FEW))
    assert {"accuracy", "margin", "mean_reward"} <= set(judged)


@pytest.mark.parametrize(
    "fields", [{}, {"use_peft": True}, {"precompute_ref_log_probs": True}, {"use_peft": True, "precompute_ref_log_probs": True}]
)
def test_the_reference_is_the_model_at_the_start(fields: dict[str, Any], assets: Path, tmp_path: Path) -> None:
    trainer = trainer_of(dpo, PAIRS, assets, tmp_path, **fields, max_steps=2, **FEW)
    assert (trainer.ref_model is None) == bool(fields)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(0.6931, abs=1e-4) and losses[1] < losses[0]
    assert "ref" not in getattr(trainer.model, "peft_config", {})


def test_a_reference_may_be_another_model(assets: Path, tmp_path: Path) -> None:
    trainer = trainer_of(dpo, PAIRS, assets, tmp_path, ref_model=str(assets / "assets" / "llama"), use_peft=True, **FEW)
    assert trainer.ref_model is not None and not any("lora" in name for name, _ in trainer.ref_model.named_parameters())
    step(trainer)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rows"), [(dpo, PAIRS), (kto, ANSWERS)])
def test_a_reference_that_follows_survives_an_interruption(method: ModuleType, rows: Any, assets: Path, tmp_path: Path) -> None:
    fields = {
        "sync_ref_model": True,
        "ref_model_sync_steps": 1,
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "save_total_limit": 2,
        "logging_steps": 1,
    }
    whole = trainer_of(method, rows, assets, tmp_path, **fields)
    whole.train()
    again = trainer_of(method, rows, assets, tmp_path, **fields)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for one in ("model", "ref_model"):
        pairs = zip(getattr(whole, one).parameters(), getattr(again, one).parameters(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs), one


REACHING = {
    dpo: {
        **{"beta": 0.3, "loss_type": ["robust", "sft"], "loss_weights": [1.0, 0.5], "label_smoothing": 0.2, "disable_dropout": False},
        **{"sync_ref_model": True, "ref_model_mixup_alpha": 0.9, "ref_model_sync_steps": 7},
    },
    orpo: {"beta": 0.3, "disable_dropout": False},
    kto: {
        **{"beta": 0.3, "loss_type": "apo_zero_unpaired", "desirable_weight": 1.5, "undesirable_weight": 0.5, "disable_dropout": False},
        **{"precompute_ref_log_probs": True},
    },
    reward: {"center_rewards_coefficient": 0.01, "disable_dropout": False},
}


@pytest.mark.parametrize("method", REACHING, ids=lambda method: method.__name__)
def test_every_option_reaches_the_trainer_and_nothing_else_decides(method: ModuleType, assets: Path, tmp_path: Path) -> None:
    trainer = trainer_of(method, ANSWERS if method is kto else PAIRS, assets, tmp_path, **REACHING[method])
    assert {name: getattr(trainer.args, name) for name in REACHING[method]} == REACHING[method]
    assert (trainer.args.bf16, trainer.args.gradient_checkpointing, trainer.args.max_length or None) == (False, False, None)
    kept = ("beta", "label_smoothing", "loss_weights", "desirable_weight", "undesirable_weight")
    assert all(getattr(trainer, name) == REACHING[method][name] for name in kept if name in REACHING[method])


@pytest.mark.parametrize("method", REACHING, ids=lambda method: method.__name__)
def test_other_rows_can_be_looked_at_while_training(method: ModuleType, assets: Path, tmp_path: Path) -> None:
    trainer = trainer_of(method, ANSWERS if method is kto else PAIRS, assets, tmp_path, **FEW)
    assert trainer.evaluate()["eval_watched_loss"] > 0
    figures = {"reward": "eval_accuracy", "kto": "eval_kl"}
    assert figures.get(method.__name__.rpartition(".")[2], "eval_rewards/accuracies") in trainer.state.log_history[-1]


def test_pairs_are_grouped_by_length(assets: Path, tmp_path: Path) -> None:
    fields = {"train_sampling_strategy": "group_by_length", "per_device_train_batch_size": 2}
    for method in (dpo, orpo, reward):
        batches = list(trainer_of(method, PAIRS, assets, tmp_path, **fields).get_train_dataloader())
        assert len(batches) == 2 and batches[0]["input_ids"].shape[1] > batches[1]["input_ids"].shape[1], method.__name__


def test_kto_may_take_rows_in_any_order(assets: Path, tmp_path: Path) -> None:
    trainer = trainer_of(kto, ANSWERS, assets, tmp_path, train_sampling_strategy="random", **FEW)
    assert type(trainer._get_train_sampler()).__name__ == "RandomSampler"


def test_the_prompt_is_what_two_dialogues_have_in_common(tokenizer: Any) -> None:
    explicit, implicit = {"prompt": [USER], "chosen": [CAT], "rejected": [DOG]}, {"chosen": [USER, CAT], "rejected": [USER, DOG]}
    both = {**implicit, "prompt": "who?"}
    examples = [shown(dpo, [row], tokenizer, system_prompt="be brief") for row in (explicit, implicit, both)]
    assert examples[0] == examples[1] == examples[2]
    texts = {"chosen": "Human: who?\n\nAssistant: the cat sleeps", "rejected": "Human: who?\n\nAssistant: the dog barks"}
    [example] = shown(dpo, [texts], tokenizer)
    answers = [tokenizer.decode(told([], example[f"{answer}_labels"])[1]) for answer in ("chosen", "rejected")]
    assert answers == [" cat sleeps<|im_end|>", " dog barks<|im_end|>"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "its `chosen` and `rejected` are the same"),
        ({"chosen": [USER, CAT], "rejected": [USER, CAT]}, "its `chosen` and `rejected` are the same"),
        ({"prompt": "a", "chosen": None, "rejected": "b"}, "its `chosen` is missing"),
        ({"prompt": None, "chosen": "a", "rejected": "b"}, "its `prompt` is missing"),
        ({"prompt": "a", "chosen": "b<|im_end|>", "rejected": "c"}, "its `chosen` holds the text of the special token `<|im_end|>`"),
        (
            {"chosen": [USER, CAT], "rejected": [{**USER, "content": "what?"}, CAT]},
            "don't answer the same prompt: look at turn 1 of `chosen`",
        ),
        ({"chosen": [USER, CAT], "rejected": [USER]}, "don't answer the same prompt: look at turn 2 of `rejected`"),
        ({"prompt": "what?", "chosen": [USER, CAT], "rejected": [USER, DOG]}, "its `chosen` begins with other turns than its `prompt`"),
    ],
)
@pytest.mark.parametrize("method", [dpo, reward])
def test_a_bad_pair_is_named(method: ModuleType, row: dict[str, Any], says: str, tokenizer: Any) -> None:
    good = {name: PAIRS[0][name] if not isinstance(row["rejected"], list) else row[name] for name in row}
    if isinstance(row["rejected"], list):
        good |= {"chosen": [USER, CAT], "rejected": [USER, DOG], **({"prompt": "who?"} if "prompt" in row else {})}
    config = method.Config(**SHARED)
    with pytest.raises(base.RowError) as caught:
        method.render(config, method.set_up(config, tokenizer), {}, [good, row])
    assert says in str(caught.value) and caught.value.place == 1


def test_plain_texts_have_no_use_for_a_template(tokenizer: Any) -> None:
    for field in ("system_prompt", "chat_template"):
        config = dpo.Config(**SHARED, **{field: "chatml"})
        with pytest.raises(ConfigError, match=f"{field} would be ignored: the rows are plain text"):
            dpo.render(config, tokenizer, {}, [{"chosen": "a b", "rejected": "a c"}])


@pytest.mark.parametrize("method", [dpo, reward])
def test_answers_that_a_cut_made_the_same_are_refused(method: ModuleType, tokenizer: Any) -> None:
    row = {"prompt": "what does it do?", "chosen": "it purrs", "rejected": "it purrs softly"}
    size = len(shown(method, [row], tokenizer)[0]["chosen_input_ids"])
    with pytest.raises(DataError, match="the same after the cut; is max_length too short"):
        shown(method, [row], tokenizer, max_length=size - 3, on_too_long="cut_right")


def test_prompts_lose_their_beginning_and_answers_their_end() -> None:
    tokenizer = made(begins="<s>", bos_token="<s>", eos_token="</s>", pad_token="[UNK]")
    row = {"prompt": "question: what is it?", "chosen": "it is nothing at all", "rejected": "it is all nothing"}
    fields = {"chat_template": "none", "max_prompt_length": 4, "max_completion_length": 5}
    [whole], [cut] = (shown(dpo, [row], tokenizer, **given) for given in ({"chat_template": "none"}, fields))
    start = whole["chosen_labels"].count(marks.IGNORED)
    assert cut["chosen_input_ids"] == [whole["chosen_input_ids"][0], *whole["chosen_input_ids"][start - 3 : start + 5]]
    assert cut["chosen_labels"] == [marks.IGNORED] * 4 + whole["chosen_labels"][start : start + 5]
    assert set(cut) == set(whole)
    config = dpo.Config(model="m", dataset="d", **fields)
    kept, _ = tokens.tables(dpo.render(config, tokenizer, {}, [row]), [cut])
    assert kept.to_pylist() == [cut], "what tokenize writes"


@pytest.mark.parametrize(
    ("method", "fields", "says"),
    [
        (dpo, {"loss_type": "sigmod"}, "loss_type"),
        (dpo, {"label_smoothing": 0.1}, "label_smoothing would be ignored without `loss_type: robust` or `exo_pair`"),
        (dpo, {"loss_type": "exo_pair"}, "exo_pair needs a `label_smoothing` above 0"),
        (dpo, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, "loss_weights: give one for each `loss_type`: 2 rather than 1"),
        (dpo, {"loss_type": ["sft", "sft"]}, "names a loss twice"),
        (dpo, {"ref_model_sync_steps": 5}, "ref_model_sync_steps would be ignored without `sync_ref_model: true`"),
        (dpo, {"sync_ref_model": True, "use_peft": True}, "sync_ref_model needs a reference of its own"),
        (dpo, {"sync_ref_model": True, "precompute_ref_log_probs": True}, "sync_ref_model needs a reference that is asked while training"),
        (kto, {"per_device_train_batch_size": 1}, "pairs prompts with each other's answers; give it 2 or more"),
        (kto, {"precompute_ref_log_probs": True}, "asks the reference about pairs that only a batch makes"),
        (orpo, {"system_prompt": "a", "chat_template": "none"}, "system_prompt would be ignored without a chat template"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(method: ModuleType, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        method.Config(**SHARED, **fields)


def test_labels_of_kto(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="all training rows have the `label`"):
        kto.features(kto.Config(**SHARED), ANSWERS[::2])
    with pytest.raises(base.RowError, match="its `label` is 'yes'; write true or false"):
        kto.render(kto.Config(**SHARED), tokenizer, {}, [{**ANSWERS[0], "label": "yes"}])


def test_margins_are_numbers(tokenizer: Any) -> None:
    with pytest.raises(base.RowError, match="its `margin` is 'much' rather than a number"):
        reward.render(reward.Config(**SHARED), tokenizer, {}, [{**PAIRS[0], "margin": "much"}])


def test_padding_is_no_end_for_a_reward_model() -> None:
    spare = made(eos_token="</s>", pad_token="</s>", unk_token="[UNK]")
    assert reward.set_up(reward.Config(**SHARED, chat_template="none"), spare).pad_token == "[UNK]"
    assert conversations.whole(spare, ["it is"])[0][-1] == spare.eos_token_id
    bare = made(eos_token="</s>", pad_token="</s>")
    bare.pad_token = "</s>"
    conversations.set_padding(bare)
    assert conversations.whole(bare, ["it is"])[0][-1] != bare.pad_token_id


def test_metrics_of_preferences() -> None:
    summed = [(-2.0, -4.0, 1, 4), (-3.0, -1.0, 6, 1)]
    names = ("chosen_logp", "rejected_logp", "chosen_tokens", "rejected_tokens")
    rows = [Prediction("", "", None, 0.0, 1, dict(zip(names, row, strict=True))) for row in summed]
    accuracy = measuring.figures(rows, preference_accuracy.Options())
    assert accuracy == {"preference_accuracy": 0.5, "preference_accuracy_per_token": 0.5}
    assert measuring.figures(rows, margin.Options()) == {"margin": 0.0, "margin_per_token": pytest.approx((-2 + 1 + -0.5 + 1) / 2)}
    judged = [Prediction("", "", None, 0.0, 1, {"chosen": 2.0, "rejected": 0.5})]
    assert measuring.figures(judged, margin.Options()) == {"margin": 1.5}
    assert measuring.figures(judged, preference_accuracy.Options()) == {"preference_accuracy": 1.0}
    answers = [
        Prediction("", "", None, 0.0, size, {"logp": logp, "label": label}) for logp, size, label in [(-1.0, 1, 1.0), (-2.0, 4, 0.0)]
    ]
    assert measuring.figures(answers, desirable_auc.Options()) == {"desirable_auc": 1.0, "desirable_auc_per_token": 0.0}
    with pytest.raises(DataError, match="all rows have the same label"):
        measuring.figures(answers[:1], desirable_auc.Options())
    with pytest.raises(DataError, match="metric `margin` needs the figure `chosen`"):
        measuring.figures([Prediction("", "", None, 0.0, 1)], margin.Options())
