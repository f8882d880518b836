"""Kahneman-Tversky optimization (Ethayarajh et al. 2024): answers that are each desirable or not, close to a reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeFloat, model_validator

from polar_tools import conversations, preferences
from polar_tools.errors import DataError
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ()


class Config(preferences.Lengths, preferences.Referenced, conversations.Fields, base.Config):
    """Fields of `kto`."""

    method: Literal["kto"] = "kto"
    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    """The loss by trl's name; `apo_zero_unpaired` estimates no divergence from the reference."""
    desirable_weight: NonNegativeFloat = 1.0
    """Weight of desirable answers. This times their number should be between 1 and 4/3 of the same product of the undesirable ones."""
    undesirable_weight: NonNegativeFloat = 1.0
    """Weight of undesirable answers."""

    def compares_rows(self) -> str | None:
        """`kto` estimates the divergence from pairs that it makes within a batch."""
        return "loss_type kto pairs the prompts of a batch with each other's answers" if self.loss_type == "kto" else None

    @model_validator(mode="after")
    def _divergence_can_be_estimated(self) -> Config:
        self._needs(["ref_model_mixup_alpha", "ref_model_sync_steps"], self.sync_ref_model, "`sync_ref_model: true`")
        if self.loss_type == "kto" and self.per_device_train_batch_size < 2:
            raise ValueError("per_device_train_batch_size: loss_type kto pairs prompts with each other's answers; give it 2 or more")
        if self.loss_type == "kto" and self.precompute_ref_log_probs:
            raise ValueError("precompute_ref_log_probs: loss_type kto asks the reference about pairs that only a batch makes; leave it out")
        preferences.refuse_unsynced(self)
        return self


COLUMNS = (("prompt", "completion", "label"),)
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("desirable_auc",)
CHECKS = ("save_load",)  # half of what the model reads while it is trained are prompts with answers to others
TRAINS_ON = "tokens"


def features(config: Config, rows: Iterable[base.Row]) -> base.Features:
    """Nothing; raises DataError where all training rows have the same label."""
    labels = {row["label"] for row in rows}
    if len(labels) < 2:
        raise DataError(f"all training rows have the `label` {labels}; kto learns from desirable and from undesirable answers")
    return {}


set_up = conversations.set_up


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Ids and labels of each prompt with its answer, and `label`: 1 where the answer is desirable, 0 where it is not."""
    base.refuse_missing(rows, ["label"])
    for place, row in enumerate(rows):
        if row["label"] not in (True, False):
            raise base.RowError(place, f"its `label` is {row['label']!r}; write true or false, or name `shape: kto` in the dataset")
    examples = conversations.render(config, processor, rows)
    labelled = [{**example, "label": [int(row["label"])]} for example, row in zip(examples, rows, strict=True)]
    return preferences.with_opening(config, processor, labelled)


def fit(config: Config, example: base.Example) -> base.Example | None:
    """Prompt and answer within their own limits, then as base.fit."""
    return base.fit(config, preferences.limited(config, example))


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be."""
    conversations.check(config, processor, row, example, preferences.cut_of(config, example))


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
    """trl's KTOTrainer on rendered answers."""
    from trl import KTOConfig

    from polar_tools.trainers.preference import KahnemanTverskyTrainer, Unpaired

    return KahnemanTverskyTrainer(
        model=model,
        ref_model=preferences.reference(config, model),
        args=base.arguments(KTOConfig, config, max_length=None, remove_unused_columns=False, **run),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=processor,
        data_collator=Unpaired(processor.pad_token_id, config.max_length, config.loss_type == "kto"),
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
    """How probable the model holds each answer: the summed log-probability of its tokens, in nats, beside its label."""
    from polar_tools.inference import reference_losses

    losses = reference_losses(model, render(config, processor, features, rows))
    return [
        Prediction(*conversations.asked_and_answered(config, row), None, loss, tokens, {"logp": -loss, "label": float(row["label"])})
        for row, (loss, tokens, _) in zip(rows, losses, strict=True)
    ]
