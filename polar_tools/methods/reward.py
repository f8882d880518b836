"""Reward model (Bradley and Terry 1952; Ouyang et al. 2022): a number for an answer, higher for chosen than for rejected ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeFloat

from polar_tools import conversations, preferences
from polar_tools.errors import DataError
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("reward_model", "rm")


class Config(conversations.Prompts, base.Config):
    """Fields of `reward`."""

    method: Literal["reward"] = "reward"
    center_rewards_coefficient: NonNegativeFloat | None = None
    """Pulls the rewards of a pair to a mean of 0 (Eisenstein et al. 2023, who use 0.01)."""
    disable_dropout: bool = True
    """No dropout in the trained model."""


COLUMNS = preferences.COLUMNS
MODEL_CLASS = "AutoModelForSequenceClassification"
TASK_TYPE = "SEQ_CLS"
METRICS = ("preference_accuracy", "margin", "loss")
CHECKS = ("accumulation", "save_load", "same_ids")
TRAINS_ON = "tokens"


def features(config: Config, rows: Iterable[base.Row]) -> base.Features:
    """A head with one output."""
    return {"num_labels": 1}


def set_up(config: Config, processor: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer with the chosen chat template, or none, and with a padding token that ends no text."""
    conversations.set_up(config, processor)
    if config.chat_template == "none":
        processor.chat_template = None  # whoever asks for rewards later has the tokenizer alone to see how texts are written
    conversations.set_padding(processor)
    return processor


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Ids of both answers of each row, each behind the prompt, and by how much the one is better, where the rows have a `margin`."""
    examples = preferences.whole(config, processor, rows)
    return [
        {**example, "margin": [_margin(row, place)]} if "margin" in row else example
        for place, (example, row) in enumerate(zip(examples, rows, strict=True))
    ]


def _margin(row: base.Row, place: int) -> float:
    if not isinstance(row["margin"], int | float):
        raise base.RowError(place, f"its `margin` is {row['margin']!r} rather than a number; name another column, or leave it out")
    return float(row["margin"])


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit; a mark of the end, where the reward is read, stays."""
    return base.fit(config, example, ends=1)


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for answers that a cut made the same."""
    if preferences.alike(example):
        raise DataError("its `chosen` and `rejected` are the same after the cut; is max_length too short for its answers?")


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
    """trl's RewardTrainer on rendered pairs."""
    from trl import RewardConfig

    from polar_tools.trainers.preference import Rewarded, RewardModelTrainer

    return RewardModelTrainer(
        model=model,
        args=base.arguments(RewardConfig, config, max_length=None, remove_unused_columns=False, **run),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=processor,
        data_collator=Rewarded(processor.pad_token_id),
        callbacks=callbacks,
    )


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """The rewards of both answers of each row, the answer with the higher one, and the loss of the pair."""
    if config.on_too_long == "drop":  # no test row may go missing
        config = config.model_copy(update={"on_too_long": "cut_right"})
    examples = [kept for example in render(config, processor, features, rows) if (kept := fit(config, example)) is not None]
    return preferences.judged(config, model, processor, rows, examples)
