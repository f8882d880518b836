"""Rows with and without pictures, read and made into tensors when their batch's turn comes.

trl's own collator for pictures trains on all that a dialogue says, the question too. Here labels are those that were measured and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

IGNORED = -100
Encode = Callable[[Sequence[Mapping[str, Any]]], tuple[dict[str, Any], Sequence[Mapping[str, Sequence[int]]]]]
"""Rows -> what a model takes, filled up on the right, and the same as rows with labels."""


class Collator:
    """A batch of rows for an image + text model: its tensors, no longer than `max_length`, and `labels`."""

    def __init__(self, encode: Encode, max_length: int | None) -> None:
        self.encode, self.max_length = encode, max_length

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch of `rows`."""
        inputs, examples = self.encode(rows)
        return cropped(inputs, [{name: example[name][: self.max_length] for name in ("input_ids", "labels")} for example in examples])


class PairCollator:
    """A batch of pairs for trainers/preference.py: the chosen answers of all rows, and below them the rejected ones."""

    def __init__(self, encode: Encode) -> None:
        self.encode = encode

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch of twice as many sequences as rows, and `completion_mask` where something is trained on."""
        batch = cropped(*self.encode(rows))
        batch["completion_mask"] = batch.pop("labels").ne(IGNORED).long()
        return batch


def cropped(inputs: dict[str, Any], examples: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    """`inputs` with `labels`, as long as the longest of `examples`; where these lost their ends, so do the rows of the batch."""
    shape, lengths = inputs["input_ids"].shape, torch.tensor([len(example["input_ids"]) for example in examples])
    width = int(lengths.max())
    there = torch.arange(shape[1]) < lengths[:, None]
    batch = {**inputs, "attention_mask": inputs["attention_mask"] * there}
    of_tokens = {name for name, value in batch.items() if isinstance(value, torch.Tensor) and value.shape == shape}
    return {**{name: value[:, :width] if name in of_tokens else value for name, value in batch.items()}, "labels": labels(examples, width)}


def labels(examples: Sequence[Mapping[str, Sequence[int]]], width: int) -> torch.Tensor:
    """The labels of `examples` as one tensor [rows, width], filled up on the right."""
    return torch.tensor([[*example["labels"], *[IGNORED] * (width - len(example["labels"]))] for example in examples])
