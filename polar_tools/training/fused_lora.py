"""A linear layer and its LoRA adapter as one step of the backward pass, rather than as the nine that peft's expression is for autograd.

The sums are the same, and so is what comes out, to the rounding of their order. What is saved are passes over tensors of the size of the
layer's output: the adapter's product is added where it is made, and nothing of that size is kept or scaled.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear


class _Adapted(torch.autograd.Function):
    """`x W' + b + scale (x A') B'`: `x` [..., in], frozen `weight` [out, in] and `bias` [out]; `down` A [rank, in], `up` B [out, rank]."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, down: torch.Tensor, up: torch.Tensor, scale: float
    ) -> torch.Tensor:
        rows = x.flatten(0, -2)
        inner = rows @ down.t()
        ctx.save_for_backward(rows, inner, weight, down, up)
        ctx.scale = scale
        outputs = torch.nn.functional.linear(rows, weight, bias).addmm_(inner, up.t(), alpha=scale)
        return outputs.view(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        rows, inner, weight, down, up = ctx.saved_tensors
        by_outputs = upstream.flatten(0, -2)
        by_inner = (by_outputs @ up).mul_(ctx.scale)
        by_x = (by_outputs @ weight).addmm_(by_inner, down).view(*upstream.shape[:-1], -1) if ctx.needs_input_grad[0] else None
        by_down = by_inner.t() @ rows if ctx.needs_input_grad[3] else None
        by_up = (by_outputs.t() @ inner).mul_(ctx.scale) if ctx.needs_input_grad[4] else None
        return by_x, None, None, by_down, by_up, None


class FusedLinear(Linear):
    """peft's layer, which does by itself whatever isn't plain LoRA: dropout, DoRA, adapters that are off, merged or several."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Outputs [..., out] of `x` [..., in]."""
        if args or kwargs or (name := self._only()) is None:
            return super().forward(x, *args, **kwargs)
        base, down, up = self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight
        if not (x.dtype == base.weight.dtype == down.dtype == up.dtype) or torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        outputs: torch.Tensor = _Adapted.apply(x, base.weight, base.bias, down, up, self.scaling[name])
        return outputs

    def _only(self) -> str | None:
        """The adapter, where it is one, and plain, and nobody waits for the layer itself to be called."""
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return None
        name: str = self.active_adapters[0]
        if name not in self.lora_A or name in self.lora_variant or self.lora_bias[name]:
            return None
        dropout = self.lora_dropout[name]
        if not isinstance(dropout, torch.nn.Identity) and dropout.training:
            return None
        return None if any(map(_watched, (self.base_layer, self.lora_A[name], self.lora_B[name]))) else name


def _watched(module: torch.nn.Module) -> bool:
    """Whether others, such as what gathers divided weights, see a layer's calls."""
    return bool(module._forward_pre_hooks or module._forward_hooks or module._backward_hooks or module._backward_pre_hooks)


def fuse(model: torch.nn.Module) -> None:
    """Let the LoRA layers of `model` that lie over plain frozen linear layers work so. Nothing of what is saved changes."""
    for layer in model.modules():
        if type(layer) is Linear and type(layer.base_layer) is torch.nn.Linear and not _learns(layer.base_layer):
            layer.__class__ = FusedLinear


def _learns(base: torch.nn.Linear) -> bool:
    return any(weight.requires_grad for weight in base.parameters())
