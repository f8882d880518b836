"""One label a text, by a new head on an encoder or decoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from polar_tools import marks
from polar_tools.errors import DataError
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("cls",)


class Config(base.Config):
    """Fields of `classification`."""

    method: Literal["classification"] = "classification"


COLUMNS = (("text", "label"),)
MODEL_CLASS = "AutoModelForSequenceClassification"
TASK_TYPE = "SEQ_CLS"
METRICS = ("accuracy", "f1", "majority", "loss")
CHECKS = ("accumulation", "save_load", "same_ids")
TRAINS_ON = "tokens"


def features(config: Config, rows: Iterable[base.Row]) -> base.Features:
    """The labels of the training rows, sorted, as the model's configuration wants them."""
    labels = sorted({str(row["label"]) for row in rows})
    if len(labels) < 2:
        raise DataError(f"classification needs at least two labels; the training rows have {labels}")
    return {
        "problem_type": "single_label_classification",
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }


set_up = base.set_up


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each text and the id of its label; raises RowError for a label that training never saw."""
    base.refuse_missing(rows, ("text", "label"))
    known = features["label2id"]
    labels = [str(row["label"]) for row in rows]
    if unknown := sorted(set(labels) - set(known)):
        place = next(place for place, label in enumerate(labels) if label not in known)
        raise base.RowError(place, f"labels {unknown} do not occur in the training rows, which have {sorted(known)}")
    encodings = marks.backend(processor).encode_batch_fast([row["text"] for row in rows])
    return [{"input_ids": encoding.ids, "label": [known[label]]} for encoding, label in zip(encodings, labels, strict=True)]


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit; an encoder's mark of the beginning or end stays."""
    return base.fit(config, example, ends=1)


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
    """transformers' Trainer; each batch is padded to its longest row."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    args = base.arguments(TrainingArguments, config, **run)
    sets = {name: _labelled(rows) for name, rows in (evaluation or {}).items()} or None
    collator = DataCollatorWithPadding(processor)
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=_labelled(train),
        eval_dataset=sets,
        processing_class=processor,
        data_collator=collator,
        callbacks=callbacks,
    )
    trainer.loss_is_scaled_for_ga = False  # a batch's mean, though the model's `forward` says that it takes `num_items_in_batch`
    return trainer


def _labelled(rows: Dataset) -> Dataset:
    """`rows` with the number of the label as models want it."""
    return rows.map(lambda row: {"labels": row["label"][0]}, remove_columns="label", keep_in_memory=True)


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """The most probable label of each text."""
    from polar_tools.inference import label_losses

    if config.on_too_long == "drop":  # no test row may go missing
        config = config.model_copy(update={"on_too_long": "cut_right"})
    examples = [kept for example in render(config, processor, features, rows) if (kept := fit(config, example)) is not None]
    outcomes = label_losses(model, processor, examples)
    names = features["id2label"]
    return [Prediction(str(row["text"]), str(row["label"]), names[best], loss, 1) for row, (best, loss) in zip(rows, outcomes, strict=True)]
