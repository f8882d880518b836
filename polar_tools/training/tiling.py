"""Feed-forward layers that take a long row in slices: their activations, much wider than the model, are there for one at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from polar_tools.errors import ConfigError

if TYPE_CHECKING:
    import torch

    Layer = Callable[[torch.Tensor], torch.Tensor]


def tile(model: torch.nn.Module, shards: int) -> None:
    """Let each feed-forward layer of `model` work on `shards` slices; raises ConfigError where it has none that can.

    A layer sees each token by itself, so that slices change no more than the rounding of sums. In the backward pass a slice is
    computed again, as in Arctic Long Sequence Training (Bekman et al. 2025).
    """
    layers = [module for module in model.modules() if type(module).__name__.endswith("MLP") and _takes_one(module)]
    if not layers:
        raise ConfigError(f"tiled_mlp_num_shards: {type(model).__name__} has no feed-forward layers that can be told from others; leave it")
    for layer in layers:
        layer.forward = _tiled(layer.forward, shards)


def _takes_one(module: torch.nn.Module) -> bool:
    return len(inspect.signature(module.forward).parameters) == 1


def _tiled(plain: Layer, shards: int) -> Layer:
    """`plain` on slices of the second to last dimension of [rows, tokens, hidden]."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        slices = hidden.tensor_split(min(shards, hidden.shape[-2]), dim=-2)
        again = torch.is_grad_enabled()
        return torch.cat([checkpoint(plain, one, use_reentrant=False) if again else plain(one) for one in slices], dim=-2)

    return forward
