"""The processes that train one model together: what one of them finds out, all do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist

Found = TypeVar("Found")


def count() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def agreed(find: Callable[[], Found]) -> Found:
    """What the first of them finds, which alone looks."""
    if count() == 1:
        return find()
    box: list[Any] = [find() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(box)
    found: Found = box[0]
    return found


def any_says(yes: bool, device: torch.device) -> bool:
    """Whether any of them says so."""
    if count() == 1:
        return yes
    flag = torch.tensor(int(yes), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())


def wait_for_all() -> None:
    """Go on once all have come here."""
    if count() > 1:
        dist.barrier()
