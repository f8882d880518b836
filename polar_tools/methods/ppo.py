"""Proximal policy optimization (Schulman et al. 2017): rewards of completions, spread over their tokens by a value that is learned too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from polar_tools import conversations, judging
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ()


class Config(judging.Judged, base.Config):
    """Fields of `ppo`."""

    ENGINES: ClassVar[tuple[str, ...]] = ()
    method: Literal["ppo"] = "ppo"
    num_ppo_epochs: PositiveInt = 4
    """Passes over the completions of an iteration. An iteration is a step: `per_device_train_batch_size` x
    `gradient_accumulation_steps` prompts are completed, and learned from."""
    num_mini_batches: PositiveInt = 1
    """Parts of a pass; each is an optimizer step."""
    gamma: Annotated[PositiveFloat, Field(le=1)] = 1.0
    """What a reward is worth one token earlier."""
    lam: Annotated[NonNegativeFloat, Field(le=1)] = 0.95
    """From 0, where an advantage trusts the values, to 1, where it trusts the rewards (GAE, Schulman et al. 2016)."""
    cliprange: PositiveFloat = 0.2
    """How far a token's probability may move away from that with which it was drawn before it no longer counts."""
    cliprange_value: PositiveFloat = 0.2
    """The same of a value."""
    vf_coef: NonNegativeFloat = 0.1
    """How much the error of the values counts. They are read by a linear layer off the policy's own last hidden states."""
    kl_coef: NonNegativeFloat = 0.05
    """How much a distance from the reference, the model that the training starts from, costs."""
    kl_estimator: Literal["k1", "k3"] = "k1"
    """How that distance is estimated: k1 has no bias, k3 varies less."""
    kl_target: PositiveFloat | None = None
    """The distance of a completion that is aimed at: `kl_coef` grows above it and shrinks below it (Ziegler et al. 2019)."""
    kl_horizon: PositiveInt = 10000
    """Completions within which `kl_coef` changes by a fifth, at most."""
    whiten_rewards: bool = False
    """Give the rewards of the tokens of an iteration variance 1."""
    missing_eos_penalty: PositiveFloat | None = None
    """What a completion loses that doesn't end within `max_completion_length`."""

    @model_validator(mode="after")
    def _parts_are_whole(self) -> Config:
        judging.refuse_ignored(self)
        self._needs(["kl_horizon"], self.kl_target is not None, "`kl_target`")
        self._needs(
            ["lora_dropout"], self.activation_checkpointing, "`activation_checkpointing`: PPO compares probabilities without dropout"
        )
        rows = self.per_device_train_batch_size * self.gradient_accumulation_steps
        if rows % self.num_mini_batches:
            raise ValueError(
                f"num_mini_batches: {rows} prompts (per_device_train_batch_size x gradient_accumulation_steps) don't go evenly into "
                f"{self.num_mini_batches} mini-batches"
            )
        return self


COLUMNS = judging.COLUMNS
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
    processor: PreTrainedTokenizerBase,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """Our PPOTrainer; the trained model is the policy alone."""
    from polar_tools.trainers.ppo import PPOConfig, PPOTrainer

    args = base.arguments(PPOConfig, config, reward_weights=judging.weights(config), **run)
    return PPOTrainer(
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
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes after each prompt, and its rewards."""
    return judging.predict(config, model, processor, rows, generation, fit)
