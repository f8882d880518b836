"""Batches without padding: rows behind each other in one, none seeing another, wherever that is less work than filling them up.

Attention over one long row looks at all pairs of its tokens, of rows beside each other at those within each; every other layer works token
by token, padding included. Which is less depends on how unlike the rows' lengths are, and is found for each batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

PAIRS_A_TOKEN = 6
"""Pairs of tokens that are as much work as one token, for each number of the width: 24 width^2 operations against 4 width."""
SHARE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far outputs may be apart, as a share of the largest, by the type of the weights."""
SEEN: dict[tuple[str, str, torch.dtype], bool] = {}
"""Whether models of a class, with these settings and of this type, keep rows apart: a preflight makes the same one several times."""


@dataclass
class Flattening(DataCollatorForLanguageModeling):
    """trl's collator, which chooses for each batch whether to pad; `width` is the model's hidden size."""

    width: int = 0

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of `input_ids`, `labels` and either `attention_mask` or `position_ids`: [rows, tokens], or [1, all tokens]."""
        lengths = [len(example["input_ids"]) for example in examples]
        padded = len(lengths) * max(lengths) * (PAIRS_A_TOKEN * self.width + max(lengths))
        self.padding_free = sum(lengths) * (PAIRS_A_TOKEN * self.width + sum(lengths)) < padded
        batch: dict[str, Any] = super().torch_call(examples)
        return batch


def flattening(model: Any, collator: Any) -> Any:
    """`collator`, or one that flattens in its place where `model` was seen to keep rows apart that lie behind each other.

    A model whose weights are divided by ZeRO-3 can't be asked before its engine is there, and is left as it is.
    """
    if is_deepspeed_zero3_enabled():
        return collator
    if type(collator) is not DataCollatorForLanguageModeling or collator.padding_free:
        return collator
    kind = (
        type(model).__name__,
        f"{model.config._attn_implementation} {model.config.to_json_string()}",
        model.get_input_embeddings().weight.dtype,
    )
    if kind not in SEEN:
        SEEN[kind] = _keeps_apart(model, collator.pad_token_id)
    if not SEEN[kind]:
        return collator
    return Flattening(
        collator.pad_token_id, pad_to_multiple_of=collator.pad_to_multiple_of, width=model.config.get_text_config().hidden_size
    )


def _keeps_apart(model: Any, pad: int) -> bool:
    """Whether the outputs for two short rows are the same padded and behind each other."""
    weight = model.get_input_embeddings().weight
    rows = [{"input_ids": [place % len(weight) for place in range(start, end)]} for start, end in ((5, 12), (40, 44))]
    padded, flat = (DataCollatorForLanguageModeling(pad, padding_free=free)(rows) for free in (False, True))
    there, training = padded["attention_mask"].bool(), model.training
    model.eval()
    try:
        with torch.no_grad():
            alone, behind = (model(**_inputs(batch, weight.device), use_cache=False).logits.float() for batch in (padded, flat))
    except (TypeError, ValueError, RuntimeError):  # a model that knows nothing of places, or can't do without a mask
        return False
    finally:
        model.train(training)
    alone = alone[there.to(alone.device)]
    return bool((alone - behind[0]).abs().max() <= SHARE.get(weight.dtype, 1e-2) * alone.abs().max())


def _inputs(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items() if name != "labels"}
