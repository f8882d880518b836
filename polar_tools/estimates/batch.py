"""The largest batch of a method: how many sequences go through the model at a time, and where its head runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from polar_tools import discovery
from polar_tools.estimates import activations
from polar_tools.estimates.architecture import Architecture, Stack
from polar_tools.estimates.rows import Rows

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

PAIRED = ("dpo", "orpo", "reward", "sentence_transformer")
"""Methods that send two sequences of each row through the model."""
APART = {"sentence_transformer": 2}
"""Methods that send the texts of a row through the model one after another, and how many these are."""
HEADS = {
    **dict.fromkeys(("sft", "causal_lm", "multimodal"), "sliced"),
    "orpo": "answer",
    **dict.fromkeys(("dpo", "kto", "grpo", "rloo"), "fused"),
    **dict.fromkeys(("classification", "reward", "sentence_transformer", "cross_encoder"), "none"),
}
"""Where a language model's head runs: on trained tokens, a slice of them at a time (head_loss.py) or all; in tiles (trl); nowhere.
Everywhere for all others."""
WRITING = ("grpo", "rloo", "ppo")
"""Methods that let the model write while they train."""
WITH_REFERENCE = ("dpo", "kto", "grpo", "rloo", "ppo")


@dataclass(frozen=True)
class Batch:
    """Sequences that go through the model together, each as long as the longest."""

    rows: int
    """Rows of the data."""
    sequences: int
    length: int
    """Tokens of each."""
    columns: int
    """Places at which the head runs under `answer`."""
    trained: int
    """Tokens that are trained on, in all."""
    padded: bool
    written: int | None = None
    """Tokens of each that a decoder writes, where an encoder reads the others."""
    parts: int = 1
    """Processes among which the tokens of each are divided (`sequence_parallel_size`)."""

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, with what fills them up, as one process has them."""
        return self.sequences * math.ceil(self.length / self.parts)


def largest(config: Config, rows: Rows, micro: int) -> Batch:
    """The batch of `micro` rows in which the longest row is, in the process that has most to do with it."""
    found, parts = _whole(config, rows, micro), config.sequence_parallel_size
    if parts == 1:
        return found
    share = math.ceil(found.length / parts)  # all that is trained on may be in one part
    return replace(found, columns=min(found.columns, share), trained=min(found.trained, found.sequences * share), padded=False, parts=parts)


def _whole(config: Config, rows: Rows, micro: int) -> Batch:
    """The same where one process has all of it."""
    told: dict[str, Any] = config.model_dump(include={"packing", "packing_length", "block_size", "max_completion_length"})
    size = told.get("block_size") or told.get("packing_length") or (config.max_length if told.get("packing") else None)
    if size is not None:
        share = min(1.0, rows.trained_mean / max(rows.mean, 1.0))
        return Batch(micro, micro, size, math.ceil(size * share) if micro == 1 else size, math.ceil(micro * size * share), False)
    each = 2 if config.method in PAIRED else 1
    length = rows.longest + (told["max_completion_length"] if config.method in WRITING else 0)
    trained = _largest_of(micro, rows.trained_mean, rows.trained_longest)
    columns = length if micro * each > 1 else rows.trained_longest
    spread = math.ceil(rows.trained_longest / each + (rows.longest - rows.shortest) / 2)
    padded, written = micro * each > 1, min(length, rows.trained_longest)
    return Batch(micro, micro * each, length, min(columns, spread), min(trained, micro * each * length), padded, written)


def _largest_of(number: int, mean: float, longest: float) -> int:
    """The sum over `number` rows one of which is the longest, the others as they come, with a deviation to the higher side."""
    return math.ceil(longest + (number - 1) * mean + math.sqrt(max(0, number - 1)) * (longest - mean) / 3)


def head(config: Config) -> str:
    """Where the head runs; `everywhere` for a method that isn't known here."""
    return HEADS.get(config.method, "everywhere")


def has_language_head(config: Config) -> bool:
    """Whether the model is loaded with the head of a language model."""
    return str(discovery.load("methods", config.method).MODEL_CLASS) not in ("AutoModel", "AutoModelForSequenceClassification")


def logits(config: Config, model: Architecture, batch: Batch, backward: bool = True) -> float:
    """Bytes that the head makes for a batch, at the most."""
    kind, size = head(config), 2.0 if config.bf16 or config.fp16 else activations.BYTES[config.dtype]
    if kind == "none":
        return 0.0
    if kind == "sliced":
        return activations.sliced_logits(batch.trained, model.words, size, backward and not config.use_peft)
    if kind == "answer":
        return activations.answer_logits(batch.sequences, batch.columns, batch.trained, model.words, size)
    if kind == "fused":
        return activations.fused_logits(batch.tokens, model.words, size, bool(config.gpus), backward)
    tokens = batch.sequences * _length(batch, model.stacks[-1]) if model.is_encoder_decoder else batch.tokens
    return activations.full_logits(tokens, model.words, size)


def _length(batch: Batch, stack: Stack) -> int:
    """Tokens of each sequence that go through a stack."""
    return batch.written if batch.written is not None and stack.family.endswith("-decoder") else batch.length


STASHED = 5
"""Layers whose activations are on the device at a time where the others wait in the host's memory (trl's OffloadActivations)."""


@dataclass(frozen=True)
class Kept:
    """What all layers keep for a batch, in bytes."""

    whole: float
    inputs: float
    """Of it, what is kept under activation checkpointing."""
    layer: float
    """The most of one layer."""
    blocks: tuple[tuple[float, float], ...]
    """The whole as tensors: how many, and the bytes of each."""
    moved: float = 0.0
    """What waits in the host's memory instead (`activation_offloading`)."""


def layers(config: Config, model: Architecture, batch: Batch) -> Kept:
    """What the layers of `model` keep for `batch`. Feed-forward layers that work in slices keep nothing, and make a slice again."""
    mixed, tiles = config.bf16 or config.fp16, config.tiled_mlp_num_shards
    size = activations.BYTES[config.dtype]
    each = [(stack, _of_layer(config, stack, batch, 0.0 if tiles else 1.0)) for stack in model.stacks]
    sums = [(stack, sum(count * one for count, one in blocks)) for stack, blocks in each]
    most = [sum(count * one for count, one in _of_layer(config, stack, batch, 1 / (tiles or 1))) for stack in model.stacks]
    ends = 3.0 * batch.tokens * model.hidden * size
    casts = 2.0 * (model.parameters - model.embeddings) if mixed and config.dtype == "float32" else 0.0  # of weights, for a step
    passes, here = APART.get(config.method, 1), _share_here(config, model)
    whole = sum(stack.layers * kept for stack, kept in sums)
    inputs = sum(stack.layers * batch.tokens * stack.hidden for stack in model.stacks) * size
    return Kept(
        whole=whole * here + ends + casts,
        inputs=inputs * here + ends + casts,
        layer=max(most),
        blocks=tuple((stack.layers * count * passes, one / passes) for stack, blocks in each for count, one in blocks),
        moved=(1 - here) * (inputs if config.activation_checkpointing else whole),
    )


def _of_layer(config: Config, stack: Stack, batch: Batch, inner: float) -> list[tuple[float, float]]:
    """What one layer keeps, as tensors, with this share of what its feed-forward layer makes."""
    kernel = "fused" if config.gpus and config.attn_implementation == "sdpa" else config.attn_implementation
    length = _length(batch, stack)
    sized = replace(stack, inner=math.ceil(stack.inner * inner))
    precision = "autocast" if config.bf16 or config.fp16 else config.dtype
    return activations.kept(sized, batch.sequences * math.ceil(length / batch.parts), length, kernel, batch.padded, precision)


def _share_here(config: Config, model: Architecture) -> float:
    """How much of what layers keep is on the device."""
    count = sum(stack.layers for stack in model.stacks)
    return min(1.0, STASHED / max(count, 1)) if config.activation_offloading and config.gpus else 1.0


def cache(config: Config, model: Architecture, rows: Rows) -> float:
    """Numbers of keys and values that are held while the model writes; 0 for a method that doesn't."""
    if config.method not in WRITING:
        return 0.0
    told: dict[str, Any] = config.model_dump(include={"max_completion_length", "steps_per_generation"})
    writers = config.per_device_train_batch_size * (told.get("steps_per_generation") or config.gradient_accumulation_steps)
    tokens = writers * (rows.longest + told["max_completion_length"])
    return float(sum(2 * stack.layers * tokens * stack.key for stack in model.stacks))
