"""Group relative policy optimization (Shao et al. 2024): of several completions of a prompt the better ones become more probable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from polar_tools import conversations, judging
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer

ALIASES = ()


class Config(judging.Grouped, base.Config):
    """Fields of `grpo`."""

    method: Literal["grpo"] = "grpo"
    beta: NonNegativeFloat = 0.0
    """How much a distance from the reference, the model that the training starts from, costs; 0 needs no reference."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """How the losses of tokens are summed, and clipped, by trl's names."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Of what rewards are divided by the standard deviation. Dr. GRPO (Liu et al. 2025) takes `none`."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """Whether probabilities are compared token by token, or those of whole completions (GSPO, Zheng et al. 2025)."""
    delta: PositiveFloat | None = None
    """Upper limit of a token's ratio where its advantage is negative (INTELLECT-2); above 1 + `epsilon`."""

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Config:
        judging.refuse_ignored(self)
        judging.refuse_partial_groups(self)
        if self.loss_type == "luspo" and self.importance_sampling_level != "sequence":
            raise ValueError("loss_type: luspo needs `importance_sampling_level: sequence`")
        return self


COLUMNS = (*judging.COLUMNS, *judging.WITH_PICTURES)
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("reward", "length", "unfinished", "repetition")
CHECKS = ("save_load", "same_ids")
TRAINS_ON = "rows"
features = base.features
set_up = conversations.set_up
render = judging.render
fit = base.fit
check = judging.check
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
    """trl's GRPOTrainer on prompts that are already tokens, or, with pictures, become such when their turn comes."""
    from trl import GRPOConfig

    from polar_tools.trainers.grouped import GroupedGRPOTrainer

    judging.refuse_too_few(config, train)
    shuffled = config.train_sampling_strategy == "random"
    args = base.arguments(GRPOConfig, config, reward_weights=judging.weights(config), shuffle_dataset=shuffled, **run)
    return GroupedGRPOTrainer(
        model=model,
        args=args,
        stop=judging.stop(config, processor),
        processing_class=processor,
        callbacks=callbacks,
        **judging.prepared(config, processor, train, evaluation, fit),
    )


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: Any,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes after each prompt, and its rewards."""
    return judging.predict(config, model, processor, rows, generation, fit)
