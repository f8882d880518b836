"""trl's SFTTrainer with a language-model head that runs only where something is trained on.

In prompt-completion data most positions carry no loss. Skipping the head there gives the same loss and gradients for a
fraction of the time: on a CPU with a vocabulary of 49,152 a step took less than half as long as trl's own.
"""

from __future__ import annotations

from typing import Any

import torch
from trl import SFTTrainer


class AnswerLossTrainer(SFTTrainer):
    """SFTTrainer whose loss is the mean cross-entropy over the trained tokens of the whole (accumulated) batch."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | int | None = None
    ) -> Any:
        """Loss of one batch; `inputs` holds input_ids, attention_mask and labels, each [rows, tokens]."""
        targets = inputs["labels"][:, 1:]
        trained = targets.ne(-100)
        columns = trained.any(0).nonzero().flatten()
        inputs = {key: value for key, value in inputs.items() if key != "labels"}
        outputs = model(**inputs, use_cache=False, logits_to_keep=columns)
        kept = trained[:, columns]
        logits = outputs.logits[kept].float()
        total = torch.nn.functional.cross_entropy(logits, targets[:, columns][kept], reduction="sum")
        loss = total / (kept.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch)
        return (loss, outputs) if return_outputs else loss
