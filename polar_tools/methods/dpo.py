"""Direct preference optimization (Rafailov et al. 2023): the chosen answer more probable than the rejected one, close to a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, model_validator

from polar_tools import conversations, preferences
from polar_tools.methods import base

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer

ALIASES = ()

_LossType = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
]
_LossTypes = Annotated[tuple[_LossType, ...], Field(min_length=1)]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Config(preferences.Lengths, preferences.Referenced, conversations.Fields, base.Config):
    """Fields of `dpo`."""

    method: Literal["dpo"] = "dpo"
    loss_type: Annotated[_LossTypes, BeforeValidator(_listed, json_schema_input_type=_LossType | _LossTypes)] = ("sigmoid",)
    """One loss by trl's name, or a list of which the weighted sum is taken."""
    loss_weights: tuple[NonNegativeFloat, ...] | None = None
    """A weight for each of `loss_type`; all are 1 where it is not given."""
    label_smoothing: Annotated[NonNegativeFloat, Field(lt=0.5)] = 0.0
    """How often a preference may be wrong, in `robust` (0.1 in its paper) and `exo_pair` (0.001)."""

    def compares_rows(self) -> str | None:
        """Some losses look at a batch as a whole."""
        found = sorted({"aot", "aot_unpaired", "bco_pair"} & set(self.loss_type))
        return f"loss_type {', '.join(found)} compares the pairs of a batch" if found else None

    @model_validator(mode="after")
    def _losses_have_what_they_need(self) -> Config:
        smoothed = {"robust", "exo_pair"} & set(self.loss_type)
        self._needs(["label_smoothing"], bool(smoothed), "`loss_type: robust` or `exo_pair`")
        self._needs(["ref_model_mixup_alpha", "ref_model_sync_steps"], self.sync_ref_model, "`sync_ref_model: true`")
        if "exo_pair" in self.loss_type and not self.label_smoothing:
            raise ValueError("loss_type: exo_pair needs a `label_smoothing` above 0, such as 0.001")
        if len(set(self.loss_type)) < len(self.loss_type):
            raise ValueError(f"loss_type: {list(self.loss_type)} names a loss twice; give it a weight in `loss_weights`")
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError(f"loss_weights: give one for each `loss_type`: {len(self.loss_type)} rather than {len(self.loss_weights)}")
        preferences.refuse_unsynced(self)
        return self


COLUMNS = (*preferences.COLUMNS, *preferences.WITH_PICTURES)
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("preference_accuracy", "margin", "loss")
CHECKS = ("save_load", "same_ids", "mask")  # some losses, such as aot, compare the pairs of a batch
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
    """trl's DPOTrainer on rendered pairs, or, with pictures, on batches that are made of rows."""
    from trl import DPOConfig

    from polar_tools.trainers.preference import DirectTrainer

    losses = {"loss_type": [*config.loss_type], "loss_weights": config.loss_weights and [*config.loss_weights]}
    return DirectTrainer(
        model=model,
        ref_model=preferences.reference(config, model),
        args=base.arguments(DPOConfig, config, max_length=None, remove_unused_columns=False, **losses, **run),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=processor,
        data_collator=preferences.collator(config, processor, fit),
        callbacks=callbacks,
    )


predict = preferences.predict
