"""Odds ratio preference optimization (Hong et al. 2024): fine-tuning on chosen answers and preferences at once, without a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveFloat

from polar_tools import conversations, modeling, preferences
from polar_tools.methods import base

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer

ALIASES = ()


class Config(preferences.Lengths, conversations.Fields, base.Config):
    """Fields of `orpo`."""

    method: Literal["orpo"] = "orpo"
    beta: PositiveFloat = 0.1
    """Weight of the odds ratio beside the loss of the chosen answer; the paper's lambda."""
    disable_dropout: bool = True
    """No dropout in the trained model."""


COLUMNS = (*preferences.COLUMNS, *preferences.WITH_PICTURES)
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("preference_accuracy", "margin", "loss")
CHECKS = ("save_load", "same_ids", "mask")
TRAINS_ON = "tokens"
features = base.features
set_up = conversations.set_up
render = preferences.render


def fit(config: Config, example: base.Example) -> base.Example | None:
    """Prompts and answers within their own limits, then as base.fit."""
    return base.fit(config, preferences.limited(config, example))


check = preferences.check
wrap = base.wrap


def build_trainer(
    config: Config,
    model: PreTrainedModel,
    processor: Any,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """trl's ORPOTrainer on rendered pairs, or, with pictures, on batches that are made of rows."""
    from polar_tools.trainers.preference import OddsRatioTrainer, ORPOConfig

    unread = {"max_length": 0, "max_completion_length": None}  # the rows are within their limits; None would be taken for 512
    return OddsRatioTrainer(
        model=model,
        args=base.arguments(ORPOConfig, config, remove_unused_columns=False, **unread, **run),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=modeling.tokenizer_of(processor),
        data_collator=preferences.collator(config, processor, fit),
        callbacks=callbacks,
    )


predict = preferences.predict
