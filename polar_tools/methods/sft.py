"""Supervised fine-tuning of a causal language model: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveInt, model_validator

from polar_tools import conversations, marks, pictures
from polar_tools.errors import ConfigError
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer

ALIASES = ("instruct",)


class Config(conversations.Fields, base.Config):
    """Fields of `sft`."""

    DIVIDES_ROWS: ClassVar[bool] = True

    method: Literal["sft"] = "sft"
    packing: bool = False
    """Train on several rows behind each other, up to `max_length`, rather than on a padded row each: fewer and fuller steps."""
    packing_strategy: Literal["bfd", "wrapped"] = "bfd"
    """`bfd` puts whole rows together as they fit, and none sees another, so that the loss of a row is what it is alone.

    `wrapped` cuts rows wherever `max_length` is reached, so that each step is full, and attention goes across them, as in pre-training.
    """
    packing_length: PositiveInt | None = None
    """Tokens that `wrapped` rows are put together up to, where that isn't `max_length`: rows may then be of any length, and nothing is cut
    off them."""
    padding_free: bool | None = None
    """Put the rows of a batch behind each other rather than fill them up, none seeing another. Without it, wherever that is less work."""
    loss_type: Literal["nll", "dft"] = "nll"
    """Cross-entropy, or dynamic fine-tuning (Wu et al. 2025), which weighs each token's by its probability."""

    @model_validator(mode="after")
    def _packing_has_a_size(self) -> Config:
        self._needs(["packing_strategy"], self.packing, "`packing: true`")
        wrapped = self.packing and self.packing_strategy == "wrapped"
        self._needs(
            ["packing_length"], wrapped, "`packing: true` and `packing_strategy: wrapped`: others keep rows whole, up to `max_length`"
        )
        if self.packing and self.max_length is None and self.packing_length is None:
            raise ValueError("packing needs `max_length`: rows are put together up to it")
        self._needs(["padding_free"], not self.packing, "`packing: false`: packed rows are never filled up")
        if self.sequence_parallel_size > 1 and self.padding_free:
            raise ValueError("padding_free: rows behind each other can't be divided by `sequence_parallel_size`; leave one of them")
        if self.sequence_parallel_size > 1 and self.packing and self.packing_strategy != "wrapped":
            raise ValueError(
                "packing: rows that don't see each other can't be divided by `sequence_parallel_size`; leave one of them, or set "
                "`packing_strategy: wrapped`"
            )
        return self


COLUMNS = (("messages",), ("prompt", "completion"), ("text",), ("messages", "images"), ("prompt", "completion", "images"))
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("rouge", "length", "unfinished", "repetition", "loss", "token_accuracy")
CHECKS = ("packing", "accumulation", "save_load", "same_ids", "mask")
TRAINS_ON = "tokens"
features = base.features
set_up = conversations.set_up


def render(config: Config, processor: Any, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row, and labels that are trained on: the assistant's turns, the completion, or the whole text."""
    return conversations.render(config, processor, rows)


fit = base.fit


def check(config: Config, processor: Any, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be. A row that was cut may lack what was cut off."""
    cut = config.on_too_long if len(example["input_ids"]) == config.max_length else None
    conversations.check(config, processor, row, example, cut)


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
    """trl's SFTTrainer on rows that are already tokens, packed if `config` says so, or, with pictures, on batches that are made of rows."""
    from trl import SFTConfig

    from polar_tools.trainers.flattening import flattening
    from polar_tools.trainers.multimodal import Collator
    from polar_tools.trainers.sequence_parallel import trainer_class

    collator = None
    if pictures.shown_by(processor):
        if config.sequence_parallel_size > 1:
            raise ConfigError("sequence_parallel_size: rows with pictures can't be divided; leave it out")
        run["remove_unused_columns"] = False
        collator = Collator(partial(conversations.encoded, config, processor), config.max_length)
    made = trainer_class(config.sequence_parallel_size)(
        model=model,
        args=base.arguments(SFTConfig, config, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **run),
        train_dataset=_packed(config, train, run["seed"]),
        eval_dataset=evaluation,
        processing_class=processor,
        data_collator=collator,
        callbacks=callbacks,
    )
    if config.padding_free is None and not config.packing and config.sequence_parallel_size == 1:
        made.data_collator = flattening(model, made.data_collator)
    return made


def _packed(config: Config, rows: Dataset, seed: int) -> Dataset:
    """`rows` behind each other, shuffled before, for those that stay together do so in every epoch."""
    from trl import pack_dataset

    size = config.packing_length or config.max_length
    if not config.packing or size is None:
        return rows
    columns = rows.select_columns(["input_ids", "labels"]).shuffle(seed, keep_in_memory=True).flatten_indices(keep_in_memory=True)
    return pack_dataset(columns, size, config.packing_strategy, {"batch_size": None, "keep_in_memory": True})


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: Any,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes after each row's prompt, and the loss of the reference there."""
    from polar_tools.inference import generate, reference_losses

    if pictures.shown_by(processor):
        return conversations.predict(config, model, processor, rows, generation)
    examples = render(config, processor, features, rows)
    prompts = [example["input_ids"][: _last_turn(example["labels"])] for example in examples]
    losses = reference_losses(model, examples)
    has_turns = conversations.has_turns(config, rows[0])
    stop = {"eos_token_id": marks.end_of_turn(processor) if has_turns else processor.eos_token_id}
    plain = conversations.columns(config, rows[0]) == ["text"]
    written = [(None, None)] * len(rows) if plain else generate(model, processor, prompts, {**generation, **stop})
    return [
        Prediction(*conversations.asked_and_answered(config, row), text, loss.loss, loss.tokens, loss.figures, cut=cut)
        for row, (text, cut), loss in zip(rows, written, losses, strict=True)
    ]


def _last_turn(labels: list[int]) -> int:
    """Where the last run of trained labels begins."""
    trained = [place for place, label in enumerate(labels) if label != base.IGNORED]
    return next((place for place in reversed(trained) if place == 0 or labels[place - 1] == base.IGNORED), len(labels))
