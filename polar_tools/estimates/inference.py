"""Memory and work of a model that is only measured: nothing is kept for a backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.estimates import activations, trained
from polar_tools.estimates import batch as batches
from polar_tools.estimates.amounts import MIB
from polar_tools.estimates.architecture import Architecture
from polar_tools.estimates.batch import Batch
from polar_tools.estimates.rows import Rows
from polar_tools.estimates.training import CUDA, Memory, Needs

if TYPE_CHECKING:
    from polar_tools.evaluation_config import Generation
    from polar_tools.methods.base import Config

LIBRARIES = 520.0
"""MiB of Python with torch and transformers."""
AT_A_TIME, WRITTEN = 16, 128
"""Rows that go through a model together, and those that are written together at most (inference.py)."""
FEW, CACHE, ROOM = 4096, 2**30, 64
"""Tokens that are written together in any case, bytes that a cache may have, and columns that it has behind them (decoding.py)."""
WRITING = ("sft", "seq2seq", "multimodal", "grpo", "rloo", "ppo")
"""Methods whose models write where they are measured."""
LAYERS = 2
"""Layers whose states are held at a time: one is made of the other."""


def needs(config: Config, model: Architecture, rows: Rows, generation: Generation | None) -> Needs:
    """What the measuring of a model needs; `generation` says how it writes, where it does."""
    width = trained.TYPE[config.dtype]
    whole = (model.parameters - (0 if batches.has_language_head(config) else model.head)) * width
    count = min(AT_A_TIME, max(1, rows.count)) * (generation.num_beams if generation else 1)
    length = rows.longest + (generation.max_new_tokens if generation else 0)
    batch = Batch(count, count, length, min(length, rows.trained_longest), min(count, AT_A_TIME) * rows.trained_longest, True)
    head = 0.0 if batches.head(config) == "none" else activations.answer_logits(count, batch.columns, batch.trained, model.words, width)
    kept = sum(2.0 * stack.layers * stack.key for stack in model.stacks)
    cache = kept * batch.tokens if generation else 0.0
    if generation and config.method in WRITING:
        cache = kept * _written(rows, length, generation.num_beams, max(FEW, max(whole, CACHE) / (kept * width)))
    memory = Memory(
        libraries=CUDA if config.gpus else LIBRARIES,
        weights=whole / MIB,
        activations=LAYERS * batches.layers(config, model, batch).layer / MIB,
        logits=head / MIB,
        cache=cache * width / MIB,
    )
    return Needs(memory, memory.total if config.gpus == 0 else LIBRARIES + whole / MIB)


def _written(rows: Rows, length: int, beams: int, fitting: float) -> float:
    """Tokens that are written together, where as many as are `fitting` have a cache as large as the weights."""
    most = max(fitting / beams, AT_A_TIME * length)
    return min(max(1, rows.count), WRITTEN, most / length) * (length + ROOM) * beams


def operations(model: Architecture, rows: float, mean: float, generation: Generation | None) -> float:
    """Floating-point operations: 2 a weight and token that is read or written."""
    tokens = mean + (generation.max_new_tokens * generation.num_beams if generation else 0)
    return rows * tokens * 2.0 * max(1.0, model.parameters - model.embeddings)
