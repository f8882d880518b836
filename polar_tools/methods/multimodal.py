"""Fine-tuning of a model that reads pictures and text, such as Gemma 3: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from polar_tools import conversations, pictures
from polar_tools.fields import Rendered
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, ProcessorMixin, Trainer

ALIASES = ("mmlm", "multimodal-lm", "image-text", "gemma")


class Config(conversations.Prompts, base.Config):
    """Fields of `multimodal`."""

    method: Literal["multimodal"] = "multimodal"
    prompt: Rendered[str] = "Describe the picture."
    """What the user says beside the picture, where the rows are pictures (`image`) with their texts (`text`)."""

    @model_validator(mode="after")
    def _goes_with_pictures(self) -> Config:
        if problem := pictures.unfit(self):
            raise ValueError(problem)
        if self.prompt_template and "prompt" in self.model_fields_set:
            raise ValueError("prompt would be ignored: `prompt_template` makes what the user says")
        return self


COLUMNS = (("messages",), ("prompt", "completion"), ("image", "text"), ("messages", "images"), ("prompt", "completion", "images"))
MODEL_CLASS = "AutoModelForImageTextToText"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("rouge", "length", "unfinished", "repetition", "loss", "token_accuracy")
CHECKS = ("accumulation", "save_load", "same_ids", "mask")
TRAINS_ON = "rows"
features = base.features


set_up = conversations.set_up


def render(config: Config, processor: ProcessorMixin, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row with those of its pictures, labels (the assistant's turns), and how many of the ids are a picture's."""
    return pictures.render(processor, conversations.illustrated(config, processor, _exchanges(config, rows)))


def _exchanges(config: Config, rows: Sequence[base.Row]) -> Sequence[base.Row]:
    """`rows`; pictures and their texts as what a user says beside the picture, and what is answered."""
    if "messages" in rows[0] or "completion" in rows[0]:
        return rows
    conversations.refuse_missing(rows, ("image", "text"))
    return [{**row, "prompt": config.prompt, "completion": row["text"]} for row in rows]


def _encode(config: Config, processor: ProcessorMixin, rows: Sequence[base.Row]) -> pictures.Batch:
    """What a model is given of `rows`, and the same as rows with labels."""
    return conversations.encoded(config, processor, _exchanges(config, rows))


fit = base.fit


def check(config: Config, processor: ProcessorMixin, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be, and where a cut went through a picture."""
    cut = config.on_too_long if len(example["input_ids"]) == config.max_length else None
    [row] = _exchanges(config, [row])
    conversations.check(config, processor, row, example, cut)


wrap = base.wrap


def build_trainer(
    config: Config,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """trl's SFTTrainer; a batch is made of its rows when its turn comes."""
    from trl import SFTConfig

    from polar_tools.trainers.answer_loss import AnswerLossTrainer
    from polar_tools.trainers.multimodal import Collator

    fixed = {"max_length": None, "remove_unused_columns": False, "dataset_kwargs": {"skip_prepare_dataset": True}}
    return AnswerLossTrainer(
        model=model,
        args=base.arguments(SFTConfig, config, **fixed, **run),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=processor,
        data_collator=Collator(partial(_encode, config, processor), config.max_length),
        callbacks=callbacks,
    )


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes after each row's prompt and pictures, and the loss of the reference there."""
    return conversations.predict(config, model, processor, _exchanges(config, rows), generation)
