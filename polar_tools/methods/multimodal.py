"""Fine-tuning of a model that reads pictures and text, such as Gemma 3: loss on what the assistant says, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from polar_tools import marks, pictures, templates
from polar_tools.errors import ConfigError, DataError, RowError
from polar_tools.fields import Rendered
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, ProcessorMixin, Trainer

ALIASES = ("mmlm", "multimodal-lm", "image-text", "gemma")


class Config(base.Config):
    """Fields of `multimodal`."""

    method: Literal["multimodal"] = "multimodal"
    system_prompt: Rendered[str | None] = None
    """First turn of every dialogue that has none of its own."""
    chat_template: Rendered[Annotated[str, AfterValidator(templates.chosen)]] = "tokenizer"
    """`tokenizer` (the model's own), or jinja that writes parts of type `image` too: the text itself, or `FILE.jinja`."""
    prompt: Rendered[str] = "Describe the picture."
    """What the user says beside the picture, where the rows are pictures (`image`) and their texts (`text`)."""

    @model_validator(mode="after")
    def _pictures_stay(self) -> Config:
        if self.on_too_long == "cut_left":
            raise ValueError("on_too_long: cut_left would cut pictures off, which stand at the beginning; choose fail, drop or cut_right")
        if self.train_sampling_strategy == "group_by_length":
            raise ValueError("train_sampling_strategy: group_by_length needs tokens, and this method trains on rows; choose random")
        if self.chat_template == "none":
            raise ValueError("chat_template: none writes no turns, in which a picture could stand")
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
    marks.set_template(config.chat_template, tokenizer, config.system_prompt)
    if tokenizer.chat_template is None:
        raise ConfigError("this model has no chat template; set `chat_template` to one of your own that writes parts of type `image`")
    processor.chat_template = tokenizer.chat_template
    return processor


def render(config: Config, processor: ProcessorMixin, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each row with those of its pictures, labels (the assistant's turns), and how many of the ids are a picture's."""
    examples = []
    for first in range(0, len(rows), pictures.BATCH):
        try:
            examples += _encode(config, processor, rows[first : first + pictures.BATCH])[1]
        except RowError as error:
            raise RowError(first + error.place, str(error)) from error
    special = set(processor.image_token_ids)
    return [{**example, "pictures": [sum(number in special for number in example["input_ids"])]} for example in examples]


def _encode(config: Config, processor: ProcessorMixin, rows: Sequence[base.Row]) -> pictures.Batch:
    return pictures.batch(processor, _written(config, processor, rows))


def _written(config: Config, processor: ProcessorMixin, rows: Sequence[base.Row]) -> list[pictures.Row]:
    """Each row as text with its pictures."""
    return pictures.rows(processor, [_dialogue(config, row, place) for place, row in enumerate(rows)], [pictures.of(row) for row in rows])


def _dialogue(config: Config, row: base.Row, place: int) -> templates.Dialogue:
    """The turns of a row with a part for each picture. An assistant's turns in a prompt are given, not trained on."""
    given, turns = _turns(config, row)
    if not turns:
        raise RowError(place, "has no turns; the filter `missing` drops such rows")
    opening = {"role": "system", "content": config.system_prompt}
    system = [opening] if config.system_prompt and turns[0]["role"] not in ("system", "developer") else []
    shown = pictures.with_places([*system, *turns], len(pictures.of(row)), place)
    return templates.Dialogue(shown, None, len(system) + given)


def _turns(config: Config, row: base.Row) -> tuple[int, list[dict[str, Any]]]:
    """What is said in a row, and how many turns of it are given."""
    if "messages" in row:
        return 0, templates.present(row["messages"])
    asked, answer = (row["prompt"], row["completion"]) if "completion" in row else (config.prompt, row["text"])
    given = _said("user", asked)
    return len(given), [*given, *_said("assistant", answer)]


def _said(role: str, said: Any) -> list[dict[str, Any]]:
    """Messages as they are, text as a message by `role`."""
    return [{"role": role, "content": said}] if isinstance(said, str) else templates.present(said)


fit = base.fit


def check(config: Config, processor: ProcessorMixin, row: base.Row, example: base.Example) -> None:
    """Raise DataError for an example with BOS, end or mask as none should be, and where a cut went through a picture."""
    special = set(processor.image_token_ids)
    if sum(number in special for number in example["input_ids"]) != example["pictures"][0]:
        raise DataError("max_length would cut tokens of its pictures off; raise it, or choose `on_too_long: drop`")
    marks.check(
        marks.marks(processor.tokenizer),
        example,
        end=marks.end_of_turn(processor.tokenizer),
        beginnings=max(1, sum(turn["role"] == "user" for turn in _turns(config, row)[1])),
        prompted=True,
        cut=config.on_too_long if len(example["input_ids"]) == config.max_length else None,
    )


def build_trainer(
    config: Config,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """trl's SFTTrainer; each batch is made of its rows when its turn comes."""
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
    from polar_tools import inference
    from polar_tools.trainers.multimodal import labels

    stop = {"eos_token_id": marks.end_of_turn(processor.tokenizer)}
    predictions = []
    for first in range(0, len(rows), pictures.BATCH):
        some = rows[first : first + pictures.BATCH]
        written = _written(config, processor, some)
        whole, asked = pictures.batch(processor, written), pictures.batch(processor, [_prompt(processor, row) for row in written], "left")
        losses = inference.losses(model, whole.inputs, labels(whole.examples, whole.inputs["input_ids"].shape[1]))
        texts = inference.continuations(model, processor.tokenizer, asked.inputs, {**generation, **stop})
        told = [_asked_and_answered(config, row) for row in some]
        predictions += [Prediction(*said, text, *loss) for said, text, loss in zip(told, texts, losses, strict=True)]
    return predictions


def _prompt(processor: ProcessorMixin, row: pictures.Row) -> pictures.Row:
    """What stands before the last answer of a row, and the pictures there."""
    before = row.text.text[: row.text.answers[-1][0]]
    return pictures.Row(templates.Text(before, []), row.pictures[: before.count(processor.image_token)])


def _asked_and_answered(config: Config, row: base.Row) -> tuple[str, str]:
    """What the turn before the last answer says, and that answer, for people and metrics."""
    turns = _turns(config, row)[1]
    last = max(number for number, turn in enumerate(turns) if turn["role"] == "assistant")
    return _text(turns[last - 1]) if last else "", _text(turns[last])


def _text(turn: dict[str, Any]) -> str:
    """What a turn says."""
    said = turn.get("content") or ""
    return said if isinstance(said, str) else " ".join(part["text"] for part in said if part.get("type") == "text")
