"""Attention over rows whose tokens are divided among processes: each looks at whole rows, with its share of the heads.

DeepSpeed-Ulysses (Jacobs et al. 2023, arXiv:2309.14509): processes send each other the queries, keys and values of their tokens, for those
heads that the other has; the kernel runs as ever, and its outputs go back to where their tokens are. All else sees a token by itself.

DeepSpeed's own (deepspeed 0.19.8, ulysses_sp.py) needs DeepSpeed and batches of equal size, drops the masks of sliding windows, evaluates
undivided, and its loader can't begin in the middle of an epoch. This is the same exchange in torch's words, under any engine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from polar_tools.trainers.heads import refuse_undivided

KERNELS = ("sdpa", "flash_attention_2")
"""Those that a model asks transformers for by name; its eager attention is a part of the model itself."""
LAYERS = ("full_attention", "sliding_attention")
"""Kinds of layers, by a configuration's `layer_types`, that are known to be attention over whole rows when they are given whole rows."""
SHORT = 8
"""Tokens a process of the row on which a model is tried."""


@dataclass(frozen=True)
class Group:
    """The processes that share rows, as one of them sees it."""

    size: int
    place: int
    """Which of a row's parts is this process's."""
    processes: Any = None
    """torch's process group."""

    @classmethod
    def of(cls, size: int) -> Group:
        """That of this process, where so many ranks in a row make one. Every process must call this."""
        processes, _ = dist.new_subgroups(size)
        return cls(size, dist.get_rank() % size, processes)

    def part(self, rows: torch.Tensor) -> torch.Tensor:
        """What of [rows, tokens, ...] is this process's; `size` must divide the tokens."""
        return rows.chunk(self.size, dim=1)[self.place]


@contextmanager
def divided(group: Group) -> Iterator[None]:
    """While this lasts, models of transformers take the tokens that they are given for a part of longer rows.

    It is one state for all threads, for layers that are computed again in the backward pass are so in torch's own threads.
    """
    kernels = {name: ALL_ATTENTION_FUNCTIONS[name] for name in KERNELS}
    masked = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
    for name, kernel in kernels.items():
        ALL_ATTENTION_FUNCTIONS[name] = _attention(kernel, group)
    ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = _mask(masked, group)
    try:
        yield
    finally:
        for name, kernel in kernels.items():
            ALL_ATTENTION_FUNCTIONS[name] = kernel
        ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = masked


def does_the_same(model: Any, group: Group, device: torch.device, share: float) -> bool:
    """Whether `model` makes of a short row in parts what it makes of it whole, in each process: outputs within a `share` of the largest.

    A model whose states go on from token to token doesn't, nor one with an attention that transformers doesn't know of.
    """
    words = model.config.get_text_config().vocab_size
    places = torch.arange(SHORT * group.size, device=device)[None]
    ids, training = (places * 7 + 5) % words, model.training
    same = torch.zeros((), dtype=torch.int32, device=device)
    model.eval()
    try:
        with torch.no_grad():
            whole = group.part(model(input_ids=ids, use_cache=False).logits).float()
            with divided(group):
                part = model(input_ids=group.part(ids), position_ids=group.part(places), use_cache=False).logits.float()
        same += (part - whole).abs().max() <= share * whole.abs().max()
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        print(f"parts of a row: {type(model).__name__} says {error}", file=sys.stderr)
    finally:
        model.train(training)
    dist.all_reduce(same, op=dist.ReduceOp.MIN, group=group.processes)
    return bool(same)


def _attention(kernel: Callable[..., Any], group: Group) -> Callable[..., Any]:
    """`kernel` for queries, keys and values [rows, heads, tokens of the part, size]; gives [rows, tokens of the part, heads, size]."""

    def attention(
        module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any = None, **named: Any
    ) -> tuple[torch.Tensor, None]:
        heads = query.shape[1]
        refuse_undivided(heads, group.size)
        named.pop("position_ids", None)  # of this part; a kernel looks there only for several documents in a row
        query = _whole(query, group)
        key, value = (_whole(_shared(states, heads, group.size), group) for states in (key, value))
        outputs, _ = kernel(_Divided(module, query.shape[1] // key.shape[1]), query, key, value, attention_mask, **named)
        return _part(outputs, group), None

    return attention


def _mask(make: Callable[..., Any], group: Group) -> Callable[..., Any]:
    """`make` for whole rows; a sliding window is one in them, and not in a part."""

    def mask(**named: Any) -> Any:
        return make(**{**named, **{name: named[name] * group.size for name in ("q_length", "kv_length")}})

    return mask


class _Divided:
    """An attention layer, where a kernel asks for how many queries share a key."""

    def __init__(self, module: Any, groups: int) -> None:
        self._module, self.num_key_value_groups = module, groups

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _shared(states: torch.Tensor, heads: int, size: int) -> torch.Tensor:
    """Keys or values, which may have fewer heads than there are queries, as often as needed so that each process has its own."""
    groups = states.shape[1]
    times = next(times for times in range(1, heads // groups + 1) if groups * times % size == 0 and heads % (groups * times) == 0)
    return states if times == 1 else states.repeat_interleave(times, dim=1)


def _whole(states: torch.Tensor, group: Group) -> torch.Tensor:
    """[rows, heads, tokens of a part, size] -> [rows, heads of a process, tokens, size]."""
    rows, heads, tokens, size = states.shape
    pieces = states.reshape(rows, group.size, heads // group.size, tokens, size).movedim(1, 0)
    received = _Exchange.apply(pieces, group.processes)
    return received.movedim(0, 2).reshape(rows, heads // group.size, group.size * tokens, size)


def _part(states: torch.Tensor, group: Group) -> torch.Tensor:
    """[rows, tokens, heads of a process, size] -> [rows, tokens of a part, heads, size]."""
    rows, tokens, heads, size = states.shape
    pieces = states.reshape(rows, group.size, tokens // group.size, heads, size).movedim(1, 0)
    received = _Exchange.apply(pieces, group.processes)
    return received.movedim(0, 2).reshape(rows, tokens // group.size, group.size * heads, size)


class _Exchange(torch.autograd.Function):
    """The i-th of the first dimension goes to process i, and what process i has for this one takes its place; so do gradients."""

    @staticmethod
    def forward(ctx: Any, pieces: torch.Tensor, processes: Any) -> torch.Tensor:
        ctx.processes = processes
        return _exchanged(pieces, processes)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _exchanged(gradient, ctx.processes), None


def _exchanged(pieces: torch.Tensor, processes: Any) -> torch.Tensor:
    sent = pieces.contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent, group=processes)
    return received
