"""REINFORCE leave-one-out (Ahmadian et al. 2024): a completion counts by how much better it is than the others of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from polar_tools import conversations, judging
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer

ALIASES = ()


class Config(judging.Grouped, base.Config):
    """Fields of `rloo`."""

    method: Literal["rloo"] = "rloo"
    num_generations: Annotated[int, Field(ge=2)] = 2
    """Completions of each prompt. A batch (`per_device_train_batch_size` x `steps_per_generation`) holds those of whole groups."""
    beta: NonNegativeFloat = 0.05
    """How much a distance from the reference, the model that the training starts from, costs; 0 needs no reference."""
    normalize_advantages: bool = False
    """Give the advantages of a generation mean 0 and variance 1."""
    reward_clip_range: tuple[float, float] | None = None
    """Smallest and largest reward; what lies outside is taken for the nearer of both."""

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Config:
        judging.refuse_ignored(self)
        judging.refuse_partial_groups(self)
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
    """trl's RLOOTrainer on prompts that are already tokens, or, with pictures, become such when their turn comes."""
    from trl import RLOOConfig

    from polar_tools.trainers.grouped import GroupedRLOOTrainer

    judging.refuse_too_few(config, train)
    shuffled = config.train_sampling_strategy == "random"
    args = base.arguments(RLOOConfig, config, reward_weights=judging.weights(config), shuffle_dataset=shuffled, **run)
    return GroupedRLOOTrainer(
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
