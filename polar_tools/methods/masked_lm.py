"""Masked language modelling: an encoder guesses the tokens that are hidden from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from polar_tools import marks
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Loaded
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

    from polar_tools.trainers.masking import Masking

ALIASES = ("mlm", "maskedlm")

_Share = Annotated[float, Field(ge=0, le=1)]


class Config(base.Config):
    """Fields of `masked_lm`."""

    method: Literal["masked_lm"] = "masked_lm"
    mlm_probability: Loaded[Annotated[float, Field(gt=0, lt=1)]] = 0.15
    """How probable it is that a token is to be guessed, or a word under `whole_word_mask`; at least one of each row is."""
    whole_word_mask: Loaded[bool] = False
    """Whether all tokens of a word are guessed together. Words are those of the tokenizer: mostly what stands between blanks or marks."""
    mask_replace_prob: _Share = 0.8
    """Share of the tokens to be guessed that the mask token stands for while training; an evaluation hides all of them."""
    random_replace_prob: _Share = 0.1
    """Share of them for which another token stands, drawn from all; the rest stays as it is."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Config:
        if self.mask_replace_prob + self.random_replace_prob > 1:
            raise ValueError(f"mask_replace_prob {self.mask_replace_prob} and random_replace_prob {self.random_replace_prob} exceed 1")
        return self


COLUMNS = (("text",),)
MODEL_CLASS = "AutoModelForMaskedLM"
TASK_TYPE = "FEATURE_EXTRACTION"  # peft has none for masks; this one passes everything on
METRICS = ("loss", "token_accuracy")
CHECKS = ("accumulation", "save_load")
TRAINS_ON = "tokens"
features = base.features


def set_up(config: Config, processor: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """`processor` as it is; raises ConfigError where it has no mask token."""
    if processor.mask_token_id is None:
        raise ConfigError("masked_lm: this model's tokenizer has no mask token, so it is no encoder; causal_lm trains a model that writes")
    return processor


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each text, labels where a token may be hidden, which special tokens never are, and the word that each belongs to."""
    base.refuse_missing(rows, ("text",))
    special = marks.marks(processor).special
    encodings = marks.backend(processor).encode_batch([row["text"] for row in rows])
    return [
        {
            "input_ids": encoding.ids,
            "labels": [base.IGNORED if number in special else number for number in encoding.ids],
            "word_ids": [-1 if word is None else word for word in encoding.word_ids],
        }
        for encoding in encodings
    ]


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit; an encoder's mark of the beginning or end stays."""
    return base.fit(config, example, ends=1)


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for a text of which nothing is left but marks."""
    if all(label == base.IGNORED for label in example["labels"]):
        raise DataError("its `text` has no tokens that could be hidden; the filter `missing` drops empty texts")


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
    """transformers' Trainer on rows that are masked anew in each epoch; those that are evaluated always in the same way."""
    from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

    from polar_tools.trainers.masking import MaskedRows, NewMasks
    from polar_tools.trainers.token_mean import token_mean

    masking = _masking(config, processor, mask_replace_prob=config.mask_replace_prob, random_replace_prob=config.random_replace_prob)
    rows = MaskedRows(train, masking, run["seed"])
    hidden = _masking(config, processor)
    args = base.arguments(TrainingArguments, config, **run)
    return Trainer(
        model=model,
        args=args,
        train_dataset=rows,
        eval_dataset=evaluation and {name: MaskedRows(rows, hidden, 0) for name, rows in evaluation.items()},
        processing_class=processor,
        data_collator=DataCollatorForTokenClassification(processor),
        compute_loss_func=partial(token_mean, label_smoothing=config.label_smoothing_factor),
        callbacks=[*callbacks, NewMasks(rows)],
    )


def _masking(config: Config, processor: PreTrainedTokenizerBase, **shares: float) -> Masking:
    from polar_tools.trainers.masking import Masking

    return Masking(processor.mask_token_id, len(processor), config.mlm_probability, config.whole_word_mask, **shares)


def predict(
    config: Config,
    model: PreTrainedModel,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """What the model takes the hidden tokens of each text for: those that the text and its place decide, whatever was trained."""
    from polar_tools.inference import masked_losses

    examples = base.fitted(config, fit, render(config, processor, features, rows))
    masking = _masking(config, processor)
    hidden = [masking.hide(example, place) for place, example in enumerate(examples)]
    return [_guessed(processor, example, *found) for example, found in zip(hidden, masked_losses(model, hidden), strict=True)]


def _guessed(processor: PreTrainedTokenizerBase, example: base.Example, loss: float, tokens: int, guesses: list[int]) -> Prediction:
    """A text with its gaps, the tokens that stood there, and the guesses."""
    wanted = [label for label in example["labels"] if label != base.IGNORED]
    right = sum(one == other for one, other in zip(guesses, wanted, strict=True))
    reference, guessed = (" ".join(processor.convert_ids_to_tokens(ids)) for ids in (wanted, guesses))
    return Prediction(processor.decode(example["input_ids"]), reference, guessed, loss, tokens, {"right_tokens": float(right)})
