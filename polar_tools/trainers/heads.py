"""Attention heads, which the processes that train on the same rows share. Asked before torch is loaded."""

from __future__ import annotations

from polar_tools.errors import ConfigError


def refuse_undivided(heads: int, size: int) -> None:
    """Raise ConfigError unless `size` processes can share so many heads."""
    if heads % size:
        able = ", ".join(str(part) for part in range(2, heads + 1) if heads % part == 0)
        raise ConfigError(
            f"sequence_parallel_size: {size} processes would share the {heads} attention heads of this model, which they can't divide"
            + (f"; it could be {able}" if able else "; leave it out")
        )
