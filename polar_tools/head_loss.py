"""Cross-entropy of a language model's head without its logits: [tokens, vocabulary] is never made, only a slice of it at a time.

Of each slice the loss is taken and, while its logits are there, the gradient too; the backward pass has nothing to do over again.
The head is called by the model itself, so that whatever wraps the model (DDP, ZeRO, FSDP, an adapter) sees the call that it waits for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

SLICE = 2**23
"""Logits at a time: 32 MB as float32, much of which stays in a CPU's cache."""
SLICE_OF_TRAINED_HEAD = 2**25
"""The same where the head's own gradient is summed up from slice to slice, which takes a pass over it each time."""
FACTORS = ("logit_scale", "output_multiplier", "lm_head_multiplier")
"""What configurations call a number by which logits are multiplied."""


@dataclass(frozen=True)
class Transform:
    """What a model does to the outputs of its head before they are logits: `cap * tanh(factor * output / cap)`."""

    factor: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: Any) -> Transform:
        """As a model's configuration says."""
        told = config.get_text_config().to_dict()
        factor = next((told[name] for name in FACTORS if told.get(name) is not None), 1.0)
        if scaling := told.get("logits_scaling"):
            factor = scaling if told["model_type"] == "hyperclovax" else 1 / scaling
        return cls(float(factor), told.get("final_logit_softcapping"))

    def __call__(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logits of float32; `outputs` [..., vocabulary] may be changed."""
        logits = outputs.float()
        if self.factor != 1.0:
            logits = logits.mul_(self.factor)
        return logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)

    def backward_(self, gradient: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The gradient by the head's outputs, from that by the `logits`, in place."""
        if self.cap is not None:
            gradient.mul_(1 - (logits / self.cap).square_())
        return gradient.mul_(self.factor) if self.factor != 1.0 else gradient


@dataclass
class Found:
    """What a head found out about the tokens that are trained on."""

    loss: torch.Tensor
    """Their summed loss."""
    losses: torch.Tensor
    """The cross-entropy in nats of each, [tokens], without gradient."""
    best: torch.Tensor
    """What is most probable in place of each, [tokens]."""
    entropy: torch.Tensor
    """Their summed entropy in nats."""


class _SummedLoss(torch.autograd.Function):
    """Summed cross-entropy in nats of `hidden` [tokens, hidden], by a head `weight` [vocabulary, hidden] and `bias`; `targets` [tokens]."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        transform: Transform,
        by_probability: bool,
        learning: bool,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        wanted = [learning and needed for needed in ctx.needs_input_grad[:3]]
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        head, shift = weight.to(dtype), None if bias is None else bias.to(dtype)
        by_hidden = torch.empty_like(hidden) if wanted[0] else None
        by_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        by_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and wanted[2] else None
        entropy, all_losses = torch.zeros((), device=hidden.device), torch.empty(len(hidden), device=hidden.device)
        all_best, all_weights = torch.empty_like(targets), torch.ones_like(all_losses)
        rows = max(1, (SLICE_OF_TRAINED_HEAD if wanted[1] else SLICE) // weight.shape[0])
        with torch.autocast(kind, enabled=False):
            for some in (slice(start, start + rows) for start in range(0, len(hidden), rows)):
                given, target = hidden[some].to(dtype), targets[some, None]
                logits = transform(torch.nn.functional.linear(given, head, shift))
                best, total = logits.argmax(-1, keepdim=True), logits.logsumexp(-1, keepdim=True)
                losses = total - logits.gather(-1, target)
                share = (logits - total).exp_()
                all_losses[some], all_best[some] = losses.squeeze(-1), best.squeeze(-1)
                entropy += total.sum() - torch.dot(share.view(-1), logits.view(-1))
                if by_probability:
                    all_weights[some] = losses.squeeze(-1).neg().exp_()
                if not any(wanted):
                    continue
                gradient = share.scatter_add_(-1, target, torch.full_like(losses, -1.0))
                gradient = gradient.mul_(all_weights[some, None]) if by_probability else gradient
                gradient = transform.backward_(gradient, logits).to(dtype)
                if by_hidden is not None:
                    by_hidden[some] = gradient @ head
                if by_weight is not None:
                    by_weight += gradient.t() @ given
                if by_bias is not None:
                    by_bias += gradient.sum(0)
        ctx.gradients = (by_hidden, by_weight, by_bias)
        ctx.types = (weight.dtype, None if bias is None else bias.dtype)
        ctx.mark_non_differentiable(all_losses, all_best, entropy)
        return torch.dot(all_losses, all_weights), all_losses, all_best, entropy

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor, *_: Any) -> Any:
        by_hidden, by_weight, by_bias = ctx.gradients
        ctx.gradients = None
        by_weight = None if by_weight is None else by_weight.mul_(upstream).to(ctx.types[0])
        by_bias = None if by_bias is None else by_bias.mul_(upstream).to(ctx.types[1])
        return None if by_hidden is None else by_hidden.mul_(upstream), by_weight, by_bias, None, None, None, None


def head_of(model: Any) -> torch.nn.Linear | None:
    """A model's head, where its outputs can be had slice by slice: not one that an adapter changes, or that is in 4 or 8 bits."""
    head = model.get_output_embeddings()
    return head if type(head) is torch.nn.Linear else None


def run(
    model: Any,
    config: Any,
    head: torch.nn.Linear,
    given: dict[str, Any],
    targets: torch.Tensor,
    kept: torch.Tensor,
    by_probability: bool = False,
) -> tuple[Any, Found] | None:
    """The outputs of `model`, which hold next to no logits, and what its `head` found at the places that are `kept`.

    `model` may be wrapped by DDP or DeepSpeed; `config` is that of the model within. `given` says by `logits_to_keep` which places those
    of `targets` and `kept`, [rows, places], are. `by_probability` weighs each loss by the token's probability. None for a model that does
    something else to its logits than is known here: one place is compared.
    """
    found: list[tuple[Found, torch.Tensor]] = []
    transform = Transform.of(config)
    plain, own = head.forward, head.__dict__.get("forward")

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        how = (transform, by_probability, torch.is_grad_enabled())
        sums = Found(*_SummedLoss.apply(hidden[kept], head.weight, head.bias, targets[kept], *how))
        outputs: torch.Tensor = plain(hidden[:1, :1].detach())
        found.append((sums, outputs.detach().clone()))
        return outputs + 0 * sums.loss  # DDP looks from the outputs which weights there will be gradients of

    head.forward = forward
    try:
        outputs = model(**given)
    finally:
        if own is None:
            del head.forward
        else:
            head.forward = own
    if len(found) != 1 or not torch.allclose(transform(found[0][1].float()), outputs.logits.detach().float(), rtol=1e-2, atol=1e-3):
        return None
    sums = found[0][0]
    return outputs, replace(sums, loss=sums.loss + 0 * outputs.logits.sum())  # for ZeRO-3, which waits for them
