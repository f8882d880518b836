"""Supervised fine-tuning of a causal language model: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from polar_tools import conversations, marks
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("instruct",)


class Config(conversations.Fields, base.Config):
    """Fields of `sft`."""

    method: Literal["sft"] = "sft"


COLUMNS = (("messages",), ("prompt", "completion"), ("text",))
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("rouge", "loss")
CHECKS = ("packing", "accumulation", "save_load", "same_ids", "mask")
TRAINS_ON = "tokens"
features = base.features
set_up = conversations.set_up


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row, and labels that are trained on: the assistant's turns, the completion, or the whole text."""
    return conversations.render(config, processor, rows)


fit = base.fit


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be. A row that was cut may lack what was cut off."""
    cut = config.on_too_long if len(example["input_ids"]) == config.max_length else None
    conversations.check(config, processor, row, example, cut)


wrap = base.wrap


def build_trainer(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """trl's SFTTrainer on rows that are already tokens."""
    from trl import SFTConfig

    from polar_tools.trainers.answer_loss import AnswerLossTrainer

    args = base.arguments(SFTConfig, config, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **run)
    return AnswerLossTrainer(
        model=model, args=args, train_dataset=train, eval_dataset=evaluation, processing_class=processor, callbacks=callbacks
    )


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes after each row's prompt, and the loss of the reference there."""
    from polar_tools.inference import generate, reference_losses

    examples = render(config, processor, features, rows)
    prompts = [example["input_ids"][: _last_turn(example["labels"])] for example in examples]
    losses = reference_losses(model, examples)
    has_turns = conversations.has_turns(config, rows[0])
    stop = {"eos_token_id": marks.end_of_turn(processor) if has_turns else processor.eos_token_id}
    plain = conversations.columns(config, rows[0]) == ["text"]
    written = [None] * len(rows) if plain else generate(model, processor, prompts, {**generation, **stop})
    return [
        Prediction(*conversations.asked_and_answered(config, row), text, loss, tokens)
        for row, text, (loss, tokens) in zip(rows, written, losses, strict=True)
    ]


def _last_turn(labels: list[int]) -> int:
    """Where the last run of trained labels begins."""
    trained = [place for place, label in enumerate(labels) if label != base.IGNORED]
    return next((place for place in reversed(trained) if place == 0 or labels[place - 1] == base.IGNORED), len(labels))
