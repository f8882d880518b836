"""See what a model is given and gives back, and keep chance out of it, while other code runs it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class Received:
    """What a model was given: token ids of each sequence, without padding; and the tensors that it gave back, one a call."""

    sequences: list[list[int]] = field(default_factory=list)
    outputs: list[torch.Tensor] = field(default_factory=list)

    def take(self, given: Mapping[str, Any], output: Any) -> None:
        """Remember one call."""
        ids, mask, positions = (given.get(name) for name in ("input_ids", "attention_mask", "position_ids"))
        if ids is not None and (mask is None or mask.shape == ids.shape):  # else it goes on behind what it was given before
            self.sequences += _packed(ids, positions) if mask is None else map(_unpadded, ids, mask)
        values = output.values() if isinstance(output, Mapping) else output
        tensor = next((value for value in values if _is_tensor(value) and value.ndim > 1), None)
        if tensor is not None:
            self.outputs.append(tensor.detach())


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _unpadded(ids: torch.Tensor, mask: torch.Tensor) -> list[int]:
    kept: list[int] = ids[mask.bool()].tolist()
    return kept


def _packed(ids: torch.Tensor, positions: torch.Tensor | None) -> Iterator[list[int]]:
    """The sequences in rows without a mask: each begins where positions begin anew."""
    for place, row in enumerate(ids):
        starts = [0] if positions is None else positions[place % len(positions)].eq(0).nonzero().flatten().tolist()
        yield from (row[start:end].tolist() for start, end in pairwise([*starts, len(row)]))


@contextmanager
def watching(model: torch.nn.Module) -> Iterator[Received]:
    """What the outermost of transformers' models in `model` receives. Its `forward` is wrapped: peft calls that itself, by no hook."""
    from transformers import PreTrainedModel

    received, state = Received(), {"open": True, "within": False}

    def watched(forward: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(forward)

        @wraps(forward)
        def through(*args: Any, **kwargs: Any) -> Any:
            if state["within"] or not state["open"]:
                return forward(*args, **kwargs)
            state["within"] = True
            try:
                output = forward(*args, **kwargs)
            finally:
                state["within"] = False
            received.take(signature.bind(*args, **kwargs).arguments, output)
            return output

        return through

    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            vars(module)["forward"] = watched(module.forward)
    try:
        yield received
    finally:  # others may have wrapped it since, so it stays, and looks no more
        state["open"] = False


@contextmanager
def still(model: torch.nn.Module) -> Iterator[None]:
    """Keep dropout off, whatever others say. Layers of bitsandbytes have none, and compute in another way when they don't train."""
    model.eval()
    for module in model.modules():
        module.training = type(module).__module__.startswith("bitsandbytes.")
    own = vars(model)
    own["train"] = own["eval"] = lambda mode=True: model
    try:
        yield
    finally:
        del own["train"], own["eval"]
