"""Fine-tuning of a model that reads pictures and text, such as Gemma 3: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from polar_tools import conversations, marks, pictures, templates
from polar_tools.errors import ConfigError, DataError
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
        if self.chat_template == "none":
            raise ValueError("chat_template: none writes no turns, in which a picture could stand")
        if self.on_too_long == "cut_left":
            raise ValueError("on_too_long: cut_left would cut pictures off, which stand at the beginning; choose fail, drop or cut_right")
        if self.train_sampling_strategy == "group_by_length":
            raise ValueError("train_sampling_strategy: group_by_length needs tokens, and this method trains on rows; choose random")
        if self.prompt_template and "prompt" in self.model_fields_set:
            raise ValueError("prompt would be ignored: `prompt_template` makes what the user says")
        return self


COLUMNS = (("messages",), ("prompt", "completion"), ("image", "text"))
MODEL_CLASS = "AutoModelForImageTextToText"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("rouge", "loss")
CHECKS = ("accumulation", "save_load", "same_ids", "mask")
TRAINS_ON = "rows"
features = base.features


def set_up(config: Config, processor: ProcessorMixin) -> ProcessorMixin:
    """The processor with the chosen chat template; raises ConfigError for a model that takes no pictures."""
    tokenizer = pictures.tokenizer(processor)
    tokenizer.chat_template = processor.chat_template or tokenizer.chat_template
    if tokenizer.chat_template is None and config.chat_template == "tokenizer":
        raise ConfigError("this model has no chat template; set `chat_template` to one of your own that writes parts of type `image`")
    conversations.set_up(config, tokenizer)
    processor.chat_template = tokenizer.chat_template
    return processor


def render(config: Config, processor: ProcessorMixin, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row with those of its pictures, labels (the assistant's turns), and how many of the ids are a picture's."""
    batches = pictures.each(rows, partial(_encode, config, processor))
    return [{**example, "pictures": [_picture_tokens(processor, example)]} for batch in batches for example in batch.examples]


def _encode(config: Config, processor: ProcessorMixin, rows: Sequence[base.Row]) -> pictures.Batch:
    """What a model is given of `rows`, and the same as rows with labels."""
    return pictures.batch(processor, _written(config, processor, rows))


def _written(config: Config, processor: ProcessorMixin, rows: Sequence[base.Row]) -> list[pictures.Row]:
    """Each row as the chat template writes it, with its pictures."""
    if "messages" not in rows[0] and "completion" not in rows[0]:
        conversations.refuse_missing(rows, ("image", "text"))
    rows = [_exchange(config, row) for row in rows]
    columns = conversations.columns(config, rows[0])
    conversations.refuse_missing(rows, columns)
    marks.refuse_special(processor.tokenizer, (conversations.contents(row, [*columns, "tools"]) for row in rows))
    if config.prompt_template:
        templates.refuse_unknown(config.prompt_template, list(rows[0]))
        prompts = templates.prompts(config.prompt_template, rows)
        rows = [{**row, "prompt": prompt} for row, prompt in zip(rows, prompts, strict=True)]
    dialogues = [_dialogue(config, row, place) for place, row in enumerate(rows)]
    return pictures.rows(processor, dialogues, [pictures.of(row) for row in rows])


def _exchange(config: Config, row: base.Row) -> base.Row:
    """`row`; a picture and its text as what a user says beside the picture, and what is answered."""
    return row if "messages" in row or "completion" in row else {**row, "prompt": config.prompt, "completion": row["text"]}


def _dialogue(config: Config, row: base.Row, place: int) -> templates.Dialogue:
    """The turns of a row, with a part for each of its pictures."""
    dialogue = conversations.dialogue(config, row, place)
    return dialogue._replace(turns=pictures.with_places(dialogue.turns, len(pictures.of(row)), place))


def _picture_tokens(processor: ProcessorMixin, example: base.Example) -> int:
    special = set(processor.image_token_ids)
    return sum(number in special for number in example["input_ids"])


fit = base.fit


def check(config: Config, processor: ProcessorMixin, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be, and where a cut went through a picture."""
    if _picture_tokens(processor, example) != example["pictures"][0]:
        raise DataError("max_length would cut tokens of its pictures off; raise it, or choose `on_too_long: drop`")
    marks.check(
        marks.marks(processor.tokenizer),
        example,
        end=marks.end_of_turn(processor.tokenizer),
        beginnings=conversations.exchanges(row),
        prompted=True,
        cut=config.on_too_long if len(example["input_ids"]) == config.max_length else None,
    )


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
    stop = {"eos_token_id": marks.end_of_turn(processor.tokenizer)}
    batches = pictures.each(rows, partial(_predict, config, model, processor, {**generation, **stop}))
    return [prediction for batch in batches for prediction in batch]


def _predict(
    config: Config, model: PreTrainedModel, processor: ProcessorMixin, generation: dict[str, Any], rows: Sequence[base.Row]
) -> list[Prediction]:
    from polar_tools import inference
    from polar_tools.trainers.multimodal import labels

    written = _written(config, processor, rows)
    asked = pictures.batch(processor, [pictures.before_answer(processor, row) for row in written], "left")
    texts = inference.continuations(model, processor.tokenizer, asked.inputs, generation)
    whole = pictures.batch(processor, written)
    losses = inference.losses(model, whole.inputs, labels(whole.examples, whole.inputs["input_ids"].shape[1]))
    told = [conversations.asked_and_answered(config, _exchange(config, row)) for row in rows]
    return [Prediction(*said, text, *loss) for said, text, loss in zip(told, texts, losses, strict=True)]
