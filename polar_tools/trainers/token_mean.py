"""The loss of models that don't shift their labels: encoders that guess, and encoder-decoders."""

from __future__ import annotations

from typing import Any

import torch


def token_mean(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Mean cross-entropy over the labels of the whole (accumulated) batch, for transformers' `compute_loss_func`.

    Some models, EncoderDecoderModel among them, take the mean of each batch by itself and would add those up.
    """
    logits = outputs.logits.float().flatten(0, 1)
    total = torch.nn.functional.cross_entropy(logits, labels.flatten(), reduction="sum", label_smoothing=label_smoothing)
    return total / (labels.ne(-100).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch)
