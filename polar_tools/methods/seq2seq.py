"""Sequence to sequence: an encoder reads a document, a decoder writes its summary, translation or answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt, model_validator

from polar_tools import marks, measuring
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Loaded, Rendered
from polar_tools.methods import base
from polar_tools.metrics import rouge
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase, Trainer


ALIASES = ()


class Config(base.Config):
    """Fields of `seq2seq`."""

    method: Literal["seq2seq"] = "seq2seq"
    source_prefix: Rendered[str] = ""
    """Stands in front of each document, such as T5's `summarize: `."""
    max_target_length: Rendered[PositiveInt | None] = None
    """Longest summary in tokens, where it is another than `max_length`; `on_too_long` says what happens to longer ones."""
    decoder_start_token: Loaded[str | None] = None
    """The token with which the decoder begins to write, for a model that doesn't say it itself."""
    predict_with_generate: bool = False
    """Whether evaluations while training also write, and log ROUGE: rouge1, rouge2, rougeL, rougeLsum, rouge_sum (of all four) and
    rouge12L_sum (of the first three), each of which `metric_for_best_model` may name."""
    generation_max_length: PositiveInt | None = None
    """The longest text that is written while training, in tokens; otherwise what the model says."""
    generation_num_beams: PositiveInt | None = None
    """Beams of the search while training; otherwise what the model says."""

    @model_validator(mode="after")
    def _decoder_can_do_it(self) -> Config:
        if self.padding_side == "left":
            raise ValueError("padding_side: what a decoder writes begins at the left, so it is filled up on the right")
        self._needs(["generation_max_length", "generation_num_beams"], self.predict_with_generate, "`predict_with_generate: true`")
        return self


COLUMNS = (("document", "summary"), ("prompt", "completion"))
MODEL_CLASS = "AutoModelForSeq2SeqLM"
TASK_TYPE = "SEQ_2_SEQ_LM"
METRICS = ("rouge", "length", "unfinished", "repetition", "loss", "token_accuracy")
CHECKS = ("accumulation", "save_load", "same_ids")
TRAINS_ON = "tokens"
features = base.features


def set_up(config: Config, processor: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer with an end-of-text token, which in BERT's is the separator."""
    if processor.eos_token is None:
        if processor.sep_token is None:
            raise ConfigError("seq2seq: this model's tokenizer has neither an end-of-text token (eos_token) nor a separator (sep_token)")
        processor.eos_token = processor.sep_token
    return processor


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each document and of its summary, both as the tokenizer begins and ends texts."""
    columns = _columns(rows[0])
    base.refuse_missing(rows, columns)
    marks.refuse_special(processor, ([(name, row[name]) for name in columns] for row in rows))
    inner = marks.backend(processor)
    sources, targets = ([row[name] for row in rows] for name in columns)
    read = inner.encode_batch_fast([config.source_prefix + text for text in sources])
    wanted = [_target(processor, encoding.ids) for encoding in inner.encode_batch_fast(targets)]
    return [
        {"source_input_ids": source.ids, "target_input_ids": ids, "target_labels": [*ids]} for source, ids in zip(read, wanted, strict=True)
    ]


def _columns(row: base.Row) -> tuple[str, ...]:
    """The column that is read, and the one that is written; raises ConfigError for messages."""
    columns = next(columns for columns in COLUMNS if set(columns) <= set(row))
    if turns := [name for name in columns if isinstance(row[name], list)]:
        raise ConfigError(f"seq2seq reads and writes plain text, but `{turns[0]}` holds messages; `method: sft` trains on these")
    return columns


def _target(processor: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    """What the decoder is to write: BERT's opening is left out, for with it the decoder begins anyway; KoBART's end is put behind it."""
    opening = len(marks.marks(processor).opening) if processor.bos_token_id is None else 0
    return ids[opening:] if ids[-1:] == [processor.eos_token_id] else [*ids[opening:], processor.eos_token_id]


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit, the summary by `max_target_length`; marks of the beginning or end stay."""
    source = base.fit(config, {name: values for name, values in example.items() if name.startswith("source_")}, ends=1)
    target = _fit_target(config, {name: values for name, values in example.items() if name.startswith("target_")})
    return None if source is None or target is None else {**source, **target}


def _fit_target(config: Config, example: base.Example) -> base.Example | None:
    if config.max_target_length is None:
        return base.fit(config, example, ends=1)
    try:
        return base.fit(config.model_copy(update={"max_length": config.max_target_length}), example, ends=1)
    except DataError as error:
        raise DataError(str(error).replace("max_length", "max_target_length")) from error


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for a text of which nothing is left but marks."""
    special = marks.marks(processor).special
    for name, column in zip(("source_input_ids", "target_input_ids"), _columns(row), strict=True):
        if all(number in special for number in example[name]):
            raise DataError(f"its `{column}` has no tokens; the filter `missing` drops empty texts")


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
    """transformers' Seq2SeqTrainer, with a loss that is the same however a batch is divided."""
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

    from polar_tools.trainers.token_mean import token_mean

    _agree(config, model, processor)
    processor.padding_side = "right"  # of the collator; a decoder begins at the left
    return Seq2SeqTrainer(
        model=model,
        args=base.arguments(Seq2SeqTrainingArguments, config, **run),
        train_dataset=_renamed(train),
        eval_dataset=evaluation and {name: _renamed(rows) for name, rows in evaluation.items()},
        processing_class=processor,
        data_collator=DataCollatorForSeq2Seq(processor, model=model),
        compute_loss_func=partial(token_mean, label_smoothing=config.label_smoothing_factor),
        compute_metrics=partial(_rouge, processor) if config.predict_with_generate else None,
        callbacks=callbacks,
    )


def _renamed(rows: Dataset) -> Dataset:
    return rows.select_columns(["source_input_ids", "target_labels"]).rename_columns(
        {"source_input_ids": "input_ids", "target_labels": "labels"}
    )


def _agree(config: Config, model: PreTrainedModel, processor: PreTrainedTokenizerBase) -> None:
    """Tell the model with which tokens its texts begin, end and are filled up; raises ConfigError where nobody knows."""
    known = {"pad_token_id": processor.pad_token_id, "eos_token_id": processor.eos_token_id}
    known["decoder_start_token_id"] = _start(config, model, processor)
    if processor.pad_token_id is None:
        raise ConfigError("seq2seq: this model's tokenizer has no padding token (pad_token), which its decoder needs")
    for name, number in known.items():
        setattr(model.config, name, number)
        setattr(model.generation_config, name, number)


def _start(config: Config, model: PreTrainedModel, processor: PreTrainedTokenizerBase) -> int:
    if config.decoder_start_token is not None:
        number = processor.get_vocab().get(config.decoder_start_token)
        if number is None:
            raise ConfigError(f"decoder_start_token: `{config.decoder_start_token}` is not in this model's vocabulary")
        return int(number)
    told = (model.generation_config.decoder_start_token_id, processor.cls_token_id, processor.bos_token_id)
    start = next((number for number in told if number is not None), None)
    if start is None:
        raise ConfigError("decoder_start_token: neither the model nor its tokenizer says with which token the decoder begins; name it")
    return int(start)


def _rouge(processor: PreTrainedTokenizerBase, found: EvalPrediction) -> dict[str, float]:
    """ROUGE of what was written while training, as the metric of that name counts it; and the sum that others call rouge_sum.

    That is ROUGE-1, -2 and -L. Of summaries of one line `rouge_sum` has ROUGE-L twice, and may hold another checkpoint for the best.
    """
    written, wanted = (_decoded(processor, ids) for ids in (found.predictions, found.label_ids))
    figures = measuring.figures(
        [Prediction("", reference, text, None, 0) for text, reference in zip(written, wanted, strict=True)], rouge.Options()
    )
    return {**figures, "rouge12L_sum": sum(figures[kind] for kind in ("rouge1", "rouge2", "rougeL"))}


def _decoded(processor: PreTrainedTokenizerBase, ids: Any) -> list[str]:
    return list(processor.batch_decode([[number for number in row if number >= 0] for row in ids.tolist()], skip_special_tokens=True))


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model writes of each document, and the loss of the reference."""
    from polar_tools.inference import generate, target_losses

    _agree(config, model, processor)
    examples = base.fitted(config, fit, render(config, processor, features, rows))
    written = generate(model, processor, [example["source_input_ids"] for example in examples], generation)
    source, target = _columns(rows[0])
    return [  # NFC, for tokenizers that drop accents take Hangul apart too
        Prediction(
            str(row[source]), str(row[target]), unicodedata.normalize("NFC", one.text), loss.loss, loss.tokens, loss.figures, cut=one.cut
        )
        for row, one, loss in zip(rows, written, target_losses(model, examples), strict=True)
    ]
