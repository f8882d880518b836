"""Rows with and without pictures, read and made into tensors when their batch's turn comes.

trl's own collator for pictures trains on all that a dialogue says, the question too. Here labels are those that were measured and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

Encode = Callable[[Sequence[Mapping[str, Any]]], tuple[dict[str, Any], Sequence[Mapping[str, Sequence[int]]]]]
"""Rows -> what a model takes, filled up on the right, and the same as rows with labels."""


class Collator:
    """A batch of rows for an image + text model: its tensors, no longer than `max_length`, and `labels`."""

    def __init__(self, encode: Encode, max_length: int | None) -> None:
        self.encode, self.max_length = encode, max_length

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch of `rows`."""
        inputs, examples = self.encode(rows)
        shape = inputs["input_ids"].shape
        inputs["labels"] = labels(examples, shape[1])
        of_tokens = {name for name, value in inputs.items() if isinstance(value, torch.Tensor) and value.shape == shape}
        return {name: value[:, : self.max_length] if name in of_tokens else value for name, value in inputs.items()}


def labels(examples: Sequence[Mapping[str, Sequence[int]]], width: int) -> torch.Tensor:
    """The labels of `examples` as one tensor [rows, width], filled up on the right."""
    return torch.tensor([[*example["labels"], *[-100] * (width - len(example["labels"]))] for example in examples])
