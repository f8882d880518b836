"""One label a text, several, or a number, by a new head on an encoder or decoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt, model_validator

from polar_tools import labels, marks
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Rendered
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("cls",)


class Config(base.Config):
    """Fields of `classification`."""

    method: Literal["classification"] = "classification"
    problem_type: Rendered[Literal["single_label_classification", "multi_label_classification", "regression"] | None] = None
    """What is learned of a text: the one label in `label`, those listed in `labels`, or the number in `label`.

    Where it isn't given, a column `labels` means several and `label` means one.
    """
    num_labels: Rendered[PositiveInt | None] = None
    """How many labels there are; others are an error. Labels that are whole numbers are then 0 and up, also those that no row has."""

    def metrics(self) -> tuple[str, ...]:
        """Those of numbers, where numbers are learned."""
        return ("correlation", "regression", "r2") if self.problem_type == labels.REGRESSION else ()

    @model_validator(mode="after")
    def _numbers_have_no_labels(self) -> Config:
        self._needs(["num_labels"], self.problem_type != labels.REGRESSION, "labels: `problem_type: regression` has none")
        self._needs(["label_smoothing_factor"], self.problem_type in (None, labels.SINGLE), "`problem_type: single_label_classification`")
        return self


COLUMNS = (("text", "label"), ("text", "labels"))
MODEL_CLASS = "AutoModelForSequenceClassification"
TASK_TYPE = "SEQ_CLS"
METRICS = ("accuracy", "f1", "majority", "confusion", "calibration", "loss")
CHECKS = ("accumulation", "save_load", "same_ids")
TRAINS_ON = "tokens"


def features(config: Config, rows: Iterable[base.Row]) -> base.Features:
    """The labels of the training rows, in order, as the model's configuration wants them."""
    coming = iter(rows)
    first = next(coming)
    kind, column = _learned(config, first)
    values = (row[column] for row in chain([first], coming) if row[column] is not None)
    return labels.learned(kind, values, config.num_labels)


def _learned(config: Config, row: base.Row) -> tuple[str, str]:
    """What is learned of a text, and the column that tells it."""
    kind = config.problem_type or (labels.SINGLE if "label" in row else labels.MULTI)
    column = "labels" if kind == labels.MULTI else "label"
    if column not in row:
        raise DataError(f"problem_type {kind} needs the column `{column}`; the dataset has {', '.join(f'`{name}`' for name in row)}")
    return kind, column


set_up = base.set_up


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each text, and the places of its labels, or its number; raises RowError for a label that training never saw."""
    _, column = _learned(config, rows[0])
    base.refuse_missing(rows, ("text", column))
    encodings = marks.backend(processor).encode_batch_fast([row["text"] for row in rows])
    examples = []
    for place, (row, encoding) in enumerate(zip(rows, encodings, strict=True)):
        try:
            examples.append({"input_ids": encoding.ids, "label": labels.rendered(features, row[column])})
        except DataError as error:
            raise base.RowError(place, str(error)) from error
    return examples


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit; an encoder's mark of the beginning or end stays."""
    kept = base.fit(config, {"input_ids": example["input_ids"]}, ends=1)
    return None if kept is None else {**example, **kept}


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for a text of which nothing is left but marks."""
    special = marks.marks(processor).special
    if all(number in special for number in example["input_ids"]):
        raise DataError("its `text` has no tokens; the filter `missing` drops empty texts")


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
    """transformers' Trainer; each batch is padded to its longest row, and its loss is the same however it is divided."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    args = base.arguments(TrainingArguments, config, **run)
    kind = model.config.problem_type
    if config.label_smoothing_factor and kind != labels.SINGLE:
        raise ConfigError(f"label_smoothing_factor is for one label a text; {kind} has none to smooth")
    known = {"problem_type": kind, "num_labels": model.config.num_labels}
    return Trainer(
        model=model,
        args=args,
        train_dataset=_labelled(train, known),
        eval_dataset=evaluation and {name: _labelled(rows, known) for name, rows in evaluation.items()},
        processing_class=processor,
        data_collator=DataCollatorWithPadding(processor),
        compute_loss_func=partial(labels.mean_loss, kind, config.label_smoothing_factor),
        callbacks=callbacks,
    )


def _labelled(rows: Dataset, known: base.Features) -> Dataset:
    """`rows` with what is to be learned as losses want it."""
    return rows.map(lambda row: {"labels": labels.target(known, row["label"])}, remove_columns="label", keep_in_memory=True)


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """The most probable label of each text, all that are more probable than not where it has several, or a number."""
    from polar_tools.inference import head_outputs

    examples = base.fitted(config, fit, render(config, processor, features, rows))
    found = labels.answers(features, head_outputs(model, processor, examples), [example["label"] for example in examples])
    targets = features["num_labels"] if features["problem_type"] == labels.MULTI else 1
    return [
        Prediction(str(row["text"]), answer.reference, answer.prediction, answer.loss, targets, answer.figures)
        for row, answer in zip(rows, found, strict=True)
    ]
