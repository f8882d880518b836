"""A score or a class for two texts read together, by sentence-transformers: slower than embeddings, and more exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveFloat, model_validator

from polar_tools import marks
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Rendered
from polar_tools.losses import base as losses
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("ce", "cross-encoder")

_PART = "sequence_ids"
"""The column beside `input_ids` that says of each token whether it is of the first text (1), of the second (2), or a mark (0)."""


class Config(base.Config):
    """Fields of `cross_encoder`."""

    method: Literal["cross_encoder"] = "cross_encoder"
    on_too_long: Rendered[Literal["fail", "drop", "cut_right"]] = "fail"
    """What happens to a pair of more than `max_length` tokens; `cut_right` takes them from the end of the longer text."""
    loss: Rendered[Literal["binary_cross_entropy", "mse"]] = "binary_cross_entropy"
    """The loss of scores and of labels 0 and 1. Other labels are classes, and have cross-entropy."""
    pos_weight: PositiveFloat | None = None
    """How much a pair that belongs together weighs under `binary_cross_entropy`, where such are few; 1 where it is not given."""

    @model_validator(mode="after")
    def _cuts_where_it_is_measured(self) -> Config:
        self._needs(["tokenizer_max_len"], False, "a trainer of tokens; sentence-transformers cuts at `max_length`, and saves it")
        return self

    @model_validator(mode="after")
    def _reads_rows_in_random_order(self) -> Config:
        self._needs(["train_sampling_strategy"], False, "a trainer that knows it; sentence-transformers draws rows at random")
        self._needs(["pos_weight"], self.loss == "binary_cross_entropy", "`loss: binary_cross_entropy`")
        return self


COLUMNS = (("sentence1", "sentence2", "score"), ("sentence1", "sentence2", "label"))
MODEL_CLASS = "AutoModelForSequenceClassification"
TASK_TYPE = "SEQ_CLS"
METRICS = ("sentence_pairs",)
CHECKS = ("accumulation", "save_load", "same_ids")
TRAINS_ON = "rows"


def features(config: Config, rows: Iterable[base.Row]) -> base.Features:
    """One number for scores and for labels 0 and 1; otherwise the classes of the training rows, sorted."""
    found: set[str] = set()
    for row in rows:
        if "score" in row:
            return {"num_labels": 1}
        found.add(str(row["label"]))
    if losses.is_binary(found):
        return {"num_labels": 1}
    if len(found) < 2:
        raise DataError(f"cross_encoder needs at least two labels; the training rows have {sorted(found)}")
    classes = sorted(found)
    return {
        "num_labels": len(classes),
        "id2label": dict(enumerate(classes)),
        "label2id": {name: place for place, name in enumerate(classes)},
    }


def set_up(config: Config, processor: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, which cuts pairs where `max_length` says."""
    processor.model_max_length = config.max_length or processor.model_max_length
    return processor


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each pair, as the tokenizer joins them, and its class where there are such."""
    columns = _columns(rows[0])
    base.refuse_missing(rows, columns)
    targets = _targets(config, features, [row[columns[-1]] for row in rows])
    encodings = marks.backend(processor).encode_batch([(row["sentence1"], row["sentence2"]) for row in rows])
    named = [{"label": [target]} if "label2id" in features else {} for target in targets]
    return [
        {"input_ids": encoding.ids, _PART: [0 if part is None else part + 1 for part in encoding.sequence_ids], **label}
        for encoding, label in zip(encodings, named, strict=True)
    ]


def _columns(names: Iterable[str]) -> tuple[str, ...]:
    """Those of COLUMNS that make the row."""
    return next(columns for columns in COLUMNS if set(columns) <= set(names))


def _refuse_nothing_left(config: Config, sequences: Sequence[Sequence[int | None]]) -> None:
    """Raise RowError for a pair of which `max_length` would leave nothing of the second text."""
    for place, sequence in enumerate(sequences):
        others = len(sequence) - sequence.count(1)
        if config.max_length is not None and len(sequence) > config.max_length <= others:
            raise base.RowError(
                place,
                f"its `sentence1` alone takes {others} tokens with the marks, so that nothing of `sentence2` would be left in "
                f"max_length {config.max_length}; raise it, or shorten the texts in `filters`",
            )


def _targets(config: Config, features: base.Features, values: Sequence[Any]) -> list[Any]:
    """Scores and labels as the loss takes them; raises RowError for one that it can't take."""
    if classes := features.get("label2id"):
        wrong = next((place for place, value in enumerate(values) if str(value) not in classes), None)
        if wrong is not None:
            raise base.RowError(wrong, f"label {str(values[wrong])!r} does not occur in the training rows, which have {sorted(classes)}")
        return [classes[str(value)] for value in values]
    numbers = [float(losses.BINARY.get(str(value), value)) for value in values]
    wrong = next((place for place, number in enumerate(numbers) if not 0 <= number <= 1), None)
    if wrong is not None and config.loss == "binary_cross_entropy":
        raise base.RowError(wrong, f"its score is {numbers[wrong]:g}, and a score must lie between 0 and 1; scale the scores")
    return numbers


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit; a pair is cut as sentence-transformers does it: at the end of the longer text, then of both alike."""
    parts, limit = example[_PART], config.max_length
    if limit is None or len(parts) <= limit or config.on_too_long != "cut_right":
        return base.fit(config, example)
    room = limit - parts.count(0)
    least = min(parts.count(1), parts.count(2), room // 2)
    kept = {1: least, 2: room - least} if parts.count(1) <= parts.count(2) else {1: room - least, 2: least}
    first = {part: parts.index(part) for part in kept}
    places = [place for place, part in enumerate(parts) if part == 0 or place - first[part] < kept[part]]
    return {name: [value[place] for place in places] if len(value) == len(parts) else value for name, value in example.items()}


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for a text that is empty, and for a pair that the model would cut unasked."""
    for column in ("sentence1", "sentence2"):
        if not row[column].strip():
            raise DataError(f"its `{column}` is empty; the filter `missing` drops such rows")
    length = len(example["input_ids"])
    if length > processor.model_max_length:
        raise DataError(
            f"the pair has {length} tokens, and the model reads {processor.model_max_length}; "
            "set `max_length`, and `on_too_long` to say what happens to longer pairs"
        )


def wrap(config: Config, model: PreTrainedModel, path: str) -> CrossEncoder:
    """A CrossEncoder around `model`; what it says of two texts lies between 0 and 1, unless it was trained to say anything."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.model_card import CrossEncoderModelCardData
    from torch.nn import Identity, Sigmoid

    from polar_tools.trainers.sentence_modules import around

    transformer = around(model, path, "sequence-classification")
    bounded = model.config.num_labels == 1 and config.loss == "binary_cross_entropy"
    card = CrossEncoderModelCardData(local_files_only=True, generate_widget_examples=False)
    activation = Sigmoid() if bounded else Identity()
    return CrossEncoder(modules=[transformer], device=str(model.device), model_card_data=card, activation_fn=activation)


def build_trainer(
    config: Config,
    model: CrossEncoder,
    processor: PreTrainedTokenizerBase,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """sentence-transformers' trainer with the loss that fits what the model was made for."""
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    from polar_tools.trainers.sentence_evaluators import pair_evaluators
    from polar_tools.trainers.sentence_modules import use
    from polar_tools.trainers.sentence_trainers import PairTrainer

    use(model, processor)
    labels = model.config.label2id if model.num_labels > 1 else None
    prepared = {name: _prepared(config, labels, rows) for name, rows in (evaluation or {}).items()}
    return PairTrainer(
        model=model,
        args=base.arguments(CrossEncoderTrainingArguments, config, ddp_find_unused_parameters=False, **run),
        train_dataset=_prepared(config, labels, train),
        eval_dataset=prepared or None,
        loss=_loss(config, model),
        evaluator=pair_evaluators(prepared) or None,
        processing_class=processor,
        callbacks=callbacks,
    )


def _prepared(config: Config, labels: dict[str, int] | None, rows: Dataset) -> Dataset:
    """The texts and what the loss compares with."""
    columns = _columns(rows.column_names)
    targets = _targets(config, {"label2id": labels} if labels else {}, rows[columns[-1]][:])
    return rows.select_columns(list(columns[:-1])).add_column(columns[-1], targets)


def _loss(config: Config, model: CrossEncoder) -> nn.Module:
    import torch
    from sentence_transformers.cross_encoder import losses as pair_losses

    if model.num_labels > 1:
        if config.pos_weight is not None:
            raise ConfigError(f"pos_weight would be ignored: the {model.num_labels} labels are classes")
        return pair_losses.CrossEntropyLoss(model)
    if config.loss == "mse":
        return pair_losses.MSELoss(model)
    weight = None if config.pos_weight is None else torch.tensor(config.pos_weight)
    return pair_losses.BinaryCrossEntropyLoss(model, pos_weight=weight)


def predict(
    config: Config,
    model: CrossEncoder,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """The score or class of each pair, and the loss of the true one."""
    import torch

    from polar_tools import inference, memory
    from polar_tools.trainers.sentence_modules import use

    if config.on_too_long == "fail":
        for example in render(config, processor, features, rows):
            fit(config, example)
    use(model, processor)
    column = _columns(rows[0])[-1]
    targets = torch.tensor(_targets(config, features, [row[column] for row in rows]), device=model.device)
    pairs = [(row["sentence1"], row["sentence2"]) for row in rows]

    def compared(rows: int) -> Tensor:
        return model.predict(pairs, batch_size=rows, activation_fn=torch.nn.Identity(), convert_to_tensor=True, show_progress_bar=False)

    logits = memory.at_most("comparing", 2 * inference.BATCH, compared).float()
    said = _classes(features, logits, targets) if "label2id" in features else _scores(model, column, logits, targets)
    return [
        Prediction("\n".join(pair), str(row[column]), text, loss, 1, figures)
        for pair, row, (text, loss, figures) in zip(pairs, rows, said, strict=True)
    ]


def _classes(features: base.Features, logits: Tensor, targets: Tensor) -> list[tuple[str, float | None, dict[str, float]]]:
    """The most probable class of each pair, and the cross-entropy of the true one."""
    from torch.nn.functional import cross_entropy

    names = features["id2label"]
    losses = cross_entropy(logits, targets, reduction="none").tolist()
    return [(names[best], loss, {}) for best, loss in zip(logits.argmax(-1).tolist(), losses, strict=True)]


def _scores(model: CrossEncoder, column: str, logits: Tensor, targets: Tensor) -> list[tuple[str, float | None, dict[str, float]]]:
    """What the model says of each pair, beside what is known of it; under `mse` there is no cross-entropy."""
    from torch.nn import Sigmoid
    from torch.nn.functional import binary_cross_entropy_with_logits

    found, known = model.activation_fn(logits).tolist(), targets.float()
    bounded = isinstance(model.activation_fn, Sigmoid)
    losses = binary_cross_entropy_with_logits(logits, known, reduction="none").tolist() if bounded else [None] * len(found)
    return [(f"{one:.4f}", loss, {"similarity": one, column: said}) for one, loss, said in zip(found, losses, known.tolist(), strict=True)]
