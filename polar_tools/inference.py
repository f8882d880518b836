"""Run a model over rows: what it writes, and the loss of what it should have written. Rows are batched by length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        written = continuations(model, tokenizer, {"input_ids": ids, "attention_mask": mask}, generation)
        for row, text in zip(batch, written, strict=True):
            texts[row] = text
    return texts


def continuations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, inputs: Mapping[str, Any], generation: dict[str, Any]
) -> list[str]:
    """The text that follows each row of `inputs`, tensors that are filled up on the left, without special tokens and outer blanks."""
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    with torch.inference_mode():
        output = model.generate(**_on(model, inputs), pad_token_id=pad, **{"eos_token_id": tokenizer.eos_token_id, **generation})
    return [text.strip() for text in tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)]


def reference_losses(model: PreTrainedModel, examples: Sequence[dict[str, list[int]]]) -> list[tuple[float, int]]:
    """Summed cross-entropy in nats and number of trained tokens of each example (`input_ids`, `labels`)."""
    results: list[tuple[float, int]] = [(0.0, 0)] * len(examples)
    for batch in _by_length([len(example["input_ids"]) for example in examples]):
        ids, mask = _pad([examples[row]["input_ids"] for row in batch], 0)
        targets = _pad([examples[row]["labels"] for row in batch], IGNORED)[0]
        for row, loss in zip(batch, losses(model, {"input_ids": ids, "attention_mask": mask}, targets), strict=True):
            results[row] = loss
    return results


def losses(model: PreTrainedModel, inputs: Mapping[str, Any], labels: torch.Tensor) -> list[tuple[float, int]]:
    """Summed cross-entropy in nats and number of trained tokens of each row of `inputs`; the head runs only where that is needed."""
    targets = labels[:, 1:].to(model.device)
    trained = targets.ne(IGNORED)
    columns = trained.any(0).nonzero().flatten()
    with torch.inference_mode():
        logits = model(**_on(model, inputs), logits_to_keep=columns).logits
    found = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), targets[:, columns], ignore_index=IGNORED, reduction="none")
    return [(float(loss), int(count)) for loss, count in zip(found.sum(1), trained.sum(1), strict=True)]


def _on(model: PreTrainedModel, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` where the model is; numbers that aren't whole, such as pixels, in its type."""
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None) if isinstance(value, torch.Tensor) else value
        for name, value in inputs.items()
    }


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
