"""Run a model over rows: what it writes, and the loss of what it should have written. Rows are batched by length.

Where memory runs out, batches become smaller; a row comes out as it would have, to rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from polar_tools import decoding, head_loss, journal
from polar_tools.decoding import Written as Written
from polar_tools.errors import RowError
from polar_tools.records import fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 16
"""Rows that are measured together."""
ROWS = 128
"""Rows that are written together at most."""
FILLING, SPARE = 0.25, 512
"""Part of a batch's prompts, or tokens in any case, that may be there only to fill rows up."""
IGNORED = -100


class Loss(NamedTuple):
    """Of a row: its summed cross-entropy in nats, over how many tokens, and how many of these are the most probable where they stand."""

    loss: float
    tokens: int
    right: int

    @property
    def figures(self) -> dict[str, float]:
        """As a prediction has them."""
        return {"right_tokens": float(self.right)}


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], generation: Mapping[str, Any]
) -> list[Written]:
    """What follows each prompt, in the order of `prompts`. `generation` holds arguments of transformers' `generate`, and a `seed`.

    An encoder-decoder reads the prompts from the left, and all that it writes is answer. Raises RowError where logits are NaN.
    """
    pad, seeds = decoding.padding(tokenizer), _seeds(generation.get("seed", 0), prompts)

    def written(batch: Sequence[int]) -> list[Written]:
        ids, mask = _pad([prompts[row] for row in batch], pad, left=not model.config.is_encoder_decoder)
        inputs = _on(model, {"input_ids": ids, "attention_mask": mask})
        try:
            return decoding.write(model, tokenizer, inputs, generation, [seeds[row] for row in batch])
        except RowError as error:
            raise RowError(batch[error.place], str(error)) from error

    return [Written(*one) for one in _each("writing", prompts, written, ROWS, _filling(model, prompts, generation))]


def continuations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, inputs: Mapping[str, Any], generation: Mapping[str, Any]
) -> list[Written]:
    """What follows each row of `inputs`, tensors with pictures that are filled up on the left. Raises RowError where logits are NaN."""
    prompts = [ids[there.bool()].tolist() for ids, there in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)]
    seeds = _seeds(generation.get("seed", 0), prompts)
    return decoding.write(model, tokenizer, _on(model, inputs), generation, seeds, leaving=False)


def _seeds(seed: int, prompts: Sequence[list[int]]) -> list[int]:
    """A seed for each prompt, which it has wherever it stands among the others; the same prompts have others each time."""
    times: Counter[str] = Counter()
    seeds = []
    for prompt in prompts:
        known = fingerprint(prompt)
        seeds.append(int(fingerprint([seed, known, times[known]])[:15], 16))
        times[known] += 1
    return seeds


def _filling(model: PreTrainedModel, prompts: Sequence[list[int]], generation: Mapping[str, Any]) -> Callable[[Sequence[int]], int]:
    """How many of some rows, by their places, the longest first, go into a batch: as many as fit by their tokens, or BATCH of the longest.

    A search with beams that draws has one row at a time, and one that counts n-grams has rows of one length.
    """
    beams, new = decoding.beams(model, generation), int(generation.get("max_new_tokens", 0))
    most = max(decoding.tokens_at_once(model) // beams, BATCH * (max(map(len, prompts), default=0) + new))
    drawn = beams > 1 and bool(generation.get("do_sample"))
    alike = beams > 1 and not model.config.is_encoder_decoder and decoding.counts_ngrams(model, generation)

    def fitting(rows: Sequence[int]) -> int:
        longest, filled = len(prompts[rows[0]]), 0
        count = 1 if drawn else max(1, most // (longest + new))
        for place, row in enumerate(rows[:count]):
            filled += longest - len(prompts[row])
            if filled > (0 if alike else max(SPARE, FILLING * longest * (place + 1))):
                return place
        return min(count, len(rows))

    return fitting


def reference_losses(model: PreTrainedModel, examples: Sequence[Mapping[str, list[int]]]) -> list[Loss]:
    """Summed cross-entropy in nats of the trained tokens of each example (`input_ids`, `labels`), by a causal model."""

    def measured(batch: Sequence[int]) -> list[Loss]:
        ids, mask = _pad([examples[row]["input_ids"] for row in batch], 0)
        targets = _pad([examples[row]["labels"] for row in batch], IGNORED)[0]
        return losses(model, {"input_ids": ids, "attention_mask": mask}, targets)

    return [Loss(*found) for found in _each("measuring losses", _ids(examples), measured)]


def losses(model: PreTrainedModel, inputs: Mapping[str, Any], labels: torch.Tensor) -> list[Loss]:
    """Summed cross-entropy in nats of the trained tokens of each row of `inputs`; the head runs only where that is needed."""
    targets = labels[:, 1:].to(model.device)
    columns = targets.ne(IGNORED).any(0).nonzero().flatten()
    given, targets = {**_on(model, inputs), "logits_to_keep": columns}, targets[:, columns]
    kept, head = targets.ne(IGNORED), head_loss.head_of(model)
    with torch.inference_mode():
        seen = None if head is None else head_loss.run(model, model.config, head, given, targets, kept)
        if seen is None:
            return _losses(model(**given).logits, targets)
        each = torch.zeros(kept.shape, device=kept.device).masked_scatter(kept, seen[1].losses)
        right = torch.zeros_like(kept).masked_scatter(kept, seen[1].best.eq(targets[kept]))
    return [Loss(*found) for found in zip(each.sum(1).tolist(), kept.sum(1).tolist(), right.sum(1).tolist(), strict=True)]


def _on(model: PreTrainedModel, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` where the model is; numbers that aren't whole, such as pixels, in its type."""
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None) if isinstance(value, torch.Tensor) else value
        for name, value in inputs.items()
    }


def target_losses(model: PreTrainedModel, examples: Sequence[Mapping[str, list[int]]]) -> list[Loss]:
    """The same of each target (`target_labels`), by an encoder-decoder that reads the source (`source_input_ids`)."""

    def measured(batch: Sequence[int]) -> list[Loss]:
        ids, mask = _pad([examples[row]["source_input_ids"] for row in batch], 0)
        targets = _pad([examples[row]["target_labels"] for row in batch], IGNORED)[0].to(model.device)
        before = model.prepare_decoder_input_ids_from_labels(labels=targets)
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), decoder_input_ids=before).logits
        return _losses(logits, targets)

    return [Loss(*found) for found in _each("measuring losses", _ids(examples, "source_input_ids"), measured)]


def masked_losses(model: PreTrainedModel, examples: Sequence[Mapping[str, list[int]]]) -> list[tuple[float, int, list[int]]]:
    """Summed cross-entropy in nats and number of hidden tokens of each example (`input_ids`, `labels`), and the guesses."""

    def measured(batch: Sequence[int]) -> list[tuple[float, int, list[int]]]:
        ids, mask = _pad([examples[row]["input_ids"] for row in batch], 0)
        targets = _pad([examples[row]["labels"] for row in batch], IGNORED)[0].to(model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
        return list(zip(*_sums(logits, targets), strict=True))

    return [(loss, tokens, best) for loss, tokens, best in _each("measuring losses", _ids(examples), measured)]


def head_outputs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Mapping[str, list[int]]]) -> torch.Tensor:
    """What the head of a classifier gives for each example (`input_ids`): float32 [rows, outputs], on the CPU."""
    pad = tokenizer.pad_token_id or 0

    def measured(batch: Sequence[int]) -> list[list[float]]:
        ids, mask = _pad([examples[row]["input_ids"] for row in batch], pad)
        with torch.inference_mode():
            outputs: list[list[float]] = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.float().tolist()
            return outputs

    return torch.tensor(_each("measuring", _ids(examples), measured))


def _sums(logits: torch.Tensor, targets: torch.Tensor) -> tuple[list[float], list[int], list[list[int]]]:
    """Of each row: the summed cross-entropy of its targets, how many these are, and what is most probable at their places."""
    there = targets.ne(IGNORED)
    losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    best = [row[kept].tolist() for row, kept in zip(logits.argmax(-1), there, strict=True)]
    return losses.sum(1).tolist(), there.sum(1).tolist(), best


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> list[Loss]:
    right = (logits.argmax(-1).eq(targets) & targets.ne(IGNORED)).sum(1).tolist()
    return [Loss(loss, tokens, found) for loss, tokens, found in zip(*_sums(logits, targets)[:2], right, strict=True)]


def rewards(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sequences: Sequence[list[int]]) -> list[float]:
    """The one number that a reward model gives each sequence of token ids."""
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id or 0  # a decoder reads it off the last token that isn't this
    return [float(reward) for reward in head_outputs(model, tokenizer, [{"input_ids": ids} for ids in sequences])[:, 0]]


def _each(
    what: str,
    given: Sequence[Sequence[int]],
    work: Callable[[Sequence[int]], Sequence[Any]],
    most: int = BATCH,
    fitting: Callable[[Sequence[int]], int] | None = None,
) -> list[Any]:
    """What `work` makes of each row, in their order: rows of like length at a time, the longest first, so that memory runs out at once.

    `given` are the ids that decide what is made of a row.
    """
    order = sorted(range(len(given)), key=lambda row: (-len(given[row]), row))
    made: dict[int, Any] = {}
    for batch, results in journal.in_batches(what, order, most, work, given.__getitem__, fitting):
        made |= dict(zip(batch, results, strict=True))
    return [made[row] for row in range(len(given))]


def _ids(examples: Sequence[Mapping[str, list[int]]], column: str = "input_ids") -> list[list[int]]:
    return [example[column] for example in examples]


def _pad(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as one tensor [rows, longest] filled up with `value`, and its mask."""
    width = max(len(row) for row in rows)
    fill = [[value] * (width - len(row)) for row in rows]
    ids = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, fill, strict=True)]
    mask = [[0] * len(gap) + [1] * len(row) if left else [1] * len(row) + [0] * len(gap) for row, gap in zip(rows, fill, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)
