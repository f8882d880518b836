"""Run a model over rows: what it writes, and the loss of what it should have written. Rows are batched by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 16
IGNORED = -100


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], generation: dict[str, Any]
) -> list[str]:
    """The text that follows each prompt, without special tokens and outer blanks, in the order of `prompts`."""
    texts = [""] * len(prompts)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    for batch in _by_length([len(prompt) for prompt in prompts]):
        ids, mask = _pad([prompts[row] for row in batch], pad, left=True)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                pad_token_id=pad,
                **{"eos_token_id": tokenizer.eos_token_id, **generation},
            )
        for row, text in zip(batch, tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True), strict=True):
            texts[row] = text.strip()
    return texts


def reference_losses(model: PreTrainedModel, examples: Sequence[dict[str, list[int]]]) -> list[tuple[float, int]]:
    """Summed cross-entropy in nats and number of trained tokens of each example (`input_ids`, `labels`)."""
    results: list[tuple[float, int]] = [(0.0, 0)] * len(examples)
    for batch in _by_length([len(example["input_ids"]) for example in examples]):
        ids, mask = _pad([examples[row]["input_ids"] for row in batch], 0)
        targets = _pad([examples[row]["labels"] for row in batch], IGNORED)[0][:, 1:].to(model.device)
        trained = targets.ne(IGNORED)
        columns = trained.any(0).nonzero().flatten()
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), logits_to_keep=columns).logits
        losses = torch.nn.functional.cross_entropy(
            logits.float().transpose(1, 2), targets[:, columns], ignore_index=IGNORED, reduction="none"
        )
        for place, row in enumerate(batch):
            results[row] = (float(losses[place].sum()), int(trained[place].sum()))
    return results


def label_losses(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[dict[str, list[int]]]
) -> list[tuple[int, float]]:
    """The most probable class of each example and the cross-entropy in nats of the true one (`label` holds its id)."""
    results: list[tuple[int, float]] = [(0, 0.0)] * len(examples)
    pad = tokenizer.pad_token_id or 0
    for batch in _by_length([len(example["input_ids"]) for example in examples]):
        ids, mask = _pad([examples[row]["input_ids"] for row in batch], pad)
        targets = torch.tensor([examples[row]["label"][0] for row in batch], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.float()
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        for row, best, loss in zip(batch, logits.argmax(-1), losses, strict=True):
            results[row] = (int(best), float(loss))
    return results


def rewards(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sequences: Sequence[list[int]]) -> list[float]:
    """The one number that a reward model gives each sequence of token ids."""
    results = [0.0] * len(sequences)
    pad = tokenizer.pad_token_id or 0
    model.config.get_text_config().pad_token_id = pad  # a decoder reads the reward off the last token that isn't it
    for batch in _by_length([len(sequence) for sequence in sequences]):
        ids, mask = _pad([sequences[row] for row in batch], pad)
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.float()
        for row, reward in zip(batch, logits[:, 0], strict=True):
            results[row] = float(reward)
    return results


def _by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Row numbers in batches of like length, longest first, so that running out of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    return (order[start : start + BATCH] for start in range(0, len(order), BATCH))


def _pad(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as one tensor [rows, longest] filled up with `value`, and its mask."""
    width = max(len(row) for row in rows)
    fill = [[value] * (width - len(row)) for row in rows]
    ids = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, fill, strict=True)]
    mask = [[0] * len(gap) + [1] * len(row) if left else [1] * len(row) + [0] * len(gap) for row, gap in zip(rows, fill, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)
