"""How much a training computes: steps, tokens, floating-point operations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polar_tools.estimates import batch as batches
from polar_tools.estimates.architecture import Architecture
from polar_tools.estimates.rows import Rows

if TYPE_CHECKING:
    from polar_tools.methods.base import Config


@dataclass(frozen=True)
class Work:
    """What a training does."""

    steps: int
    rows: float
    tokens: float
    """Tokens that go through the model, without what fills rows up."""
    operations: float
    """Floating-point operations."""


def of(config: Config, model: Architecture, rows: Rows, world: int) -> Work:
    """The work of a training over `world` processes, of which some may share their rows."""
    told: dict[str, Any] = config.model_dump(
        include={"packing", "packing_length", "block_size", "num_generations", "max_completion_length", "num_ppo_epochs"}
    )
    size = told.get("block_size") or told.get("packing_length") or (config.max_length if told.get("packing") else None)
    count, mean = (rows.count, rows.mean) if size is None else (math.ceil(rows.tokens / size), min(float(size), rows.tokens))
    count *= told.get("num_generations") or 1
    written = told["max_completion_length"] if config.method in batches.WRITING else 0
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * world // config.sequence_parallel_size
    epoch = max(1, math.ceil(count / batch))
    steps = config.max_steps if config.max_steps > 0 else math.ceil(epoch * config.num_train_epochs)
    seen = steps * min(batch, count)
    tokens = seen * (mean + written)
    passes = _passes(config) * (told.get("num_ppo_epochs") or 1) + (2.0 if written else 0.0)
    return Work(steps, seen, tokens, tokens * (passes * _matrices(config, model) + _attention(config, model, rows.longest + written)))


def preflight(config: Config, model: Architecture, rows: Rows) -> float:
    """Operations of a preflight: about as many as ten steps on its rows."""
    length = max(64, rows.shortest)
    return 10 * 8 * min(float(length), max(rows.mean, 1.0)) * 6.0 * _matrices(config, model)


def _passes(config: Config) -> float:
    """Operations a weight and token: 2 forward, 2 for the gradients of states, 2 for those of weights (Kaplan et al. 2020), and a
    forward pass again where activations are computed anew; 2 of a reference.
    """
    again = 2.0 if config.activation_checkpointing else 0.0
    reference = 2.0 if config.method in batches.WITH_REFERENCE else 0.0
    return (4.0 if config.use_peft else 6.0) + again + reference


def _matrices(config: Config, model: Architecture) -> float:
    """Weights that a token is multiplied with; the head where it runs on every token."""
    head = model.words * model.hidden if batches.head(config) in ("everywhere", "fused") else 0.0
    return max(1.0, model.parameters - model.embeddings - model.head + head)


def _attention(config: Config, model: Architecture, length: int) -> float:
    """Operations a token for what it looks at: queries with keys, weights with values, there and back."""
    return sum(12.0 * stack.layers * stack.query * length / 2 for stack in model.stacks)
