"""Continued pre-training of a causal language model: the loss of every token of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveInt

from polar_tools import labelling, marks
from polar_tools.errors import ConfigError
from polar_tools.fields import Loaded, Rendered
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("clm", "causallm", "default")


class Config(base.Config):
    """Fields of `causal_lm`."""

    DIVIDES_ROWS: ClassVar[bool] = True

    method: Literal["causal_lm"] = "causal_lm"
    block_size: Loaded[PositiveInt | None] = None
    """Train on blocks of so many tokens, cut out of all documents one behind the other, rather than on a document a row.

    A block may hold the end of one document and the beginning of the next, and attention goes across, as is usual in pre-training:
    `add_eos_token` tells the model where one ends. The last block holds what is left.
    """
    add_eos_token: Rendered[bool] = True
    """Whether the end-of-text token follows each document."""


COLUMNS = (("text",),)
MODEL_CLASS = "AutoModelForCausalLM"
TASK_TYPE = "CAUSAL_LM"
METRICS = ("loss", "token_accuracy")
CHECKS = ("accumulation", "save_load")
TRAINS_ON = "tokens"
features = base.features
set_up = base.set_up


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each document; all of them are trained on."""
    if config.add_eos_token and processor.eos_token_id is None:
        raise ConfigError("this model's tokenizer has no end-of-text token (eos_token); set `add_eos_token: false`")
    base.refuse_missing(rows, ("text",))
    ends = [processor.eos_token_id] if config.add_eos_token else []
    return labelling.plain(processor, [row["text"] for row in rows], ends)


fit = base.fit


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for a document without text, or with BOS where none should be."""
    found = marks.marks(processor)
    cut = config.on_too_long if len(example["input_ids"]) == config.max_length else None
    marks.check(found, example, end=found.eos if config.add_eos_token else None, beginnings=1, prompted=False, cut=cut)


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
    """trl's SFTTrainer on rows that are already tokens, or on blocks of them."""
    from trl import SFTConfig

    from polar_tools.trainers.sequence_parallel import trainer_class

    args = base.arguments(SFTConfig, config, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **run)
    return trainer_class(config.sequence_parallel_size)(
        model=model,
        args=args,
        train_dataset=_blocks(train, config.block_size),
        eval_dataset=evaluation and {name: _blocks(rows, config.block_size) for name, rows in evaluation.items()},
        processing_class=processor,
        callbacks=callbacks,
    )


def _blocks(documents: Dataset, size: int | None) -> Dataset:
    """All documents behind each other, in their order, in blocks of `size`; as they are where there is none."""
    from trl import pack_dataset

    if size is None:
        return documents
    tokens = documents.select_columns(["input_ids", "labels"])
    return pack_dataset(tokens, size, "wrapped", {"batch_size": None, "keep_in_memory": True})


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """The loss of each document, block by block where it is longer than `block_size`. Nothing is written: there is no prompt."""
    from polar_tools.inference import Loss, reference_losses

    examples = base.fitted(config, fit, render(config, processor, features, rows))
    pieces = [(place, piece) for place, example in enumerate(examples) for piece in _pieces(example, config.block_size)]
    sums = [Loss(0.0, 0, 0)] * len(rows)
    for (place, _), found in zip(pieces, reference_losses(model, [piece for _, piece in pieces]), strict=True):
        so_far = sums[place]
        sums[place] = Loss(so_far.loss + found.loss, so_far.tokens + found.tokens, so_far.right + found.right)
    return [Prediction("", str(row["text"]), None, one.loss, one.tokens, one.figures) for row, one in zip(rows, sums, strict=True)]


def _pieces(example: base.Example, size: int | None) -> Iterator[base.Example]:
    """A document in blocks of its own."""
    length = len(example["input_ids"])
    step = size or length
    return ({name: values[start : start + step] for name, values in example.items()} for start in range(0, length, step))
