"""What of a training's state each process holds: ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 5) and FSDP, by numbers alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

BUCKET = 5e8 * 2
"""Bytes of a bucket by default: DeepSpeed's 500 million elements of 16 bits."""


@dataclass(frozen=True)
class Sharding:
    """How weights, gradients and the optimizer's state are divided."""

    world: int = 1
    """Processes of all nodes."""
    here: int = 1
    """Processes on one node."""
    stage: int = 0
    """ZeRO's stage: 1 divides the optimizer's state, 2 the gradients too, 3 the weights too, as FSDP does; 0 nothing."""
    offload_optimizer: bool = False
    """The optimizer's state is in host memory."""
    offload_param: bool = False
    """The weights are in host memory."""
    bucket: float = 0.0
    """Bytes of the buffers that gradients and weights pass through."""

    def weights(self, size: float) -> float:
        """Bytes of `size` on a device."""
        return 0.0 if self.offload_param else size / (self.world if self.stage >= 3 else 1)

    def gradients(self, size: float) -> float:
        """Bytes of `size` on a device, with the buffers."""
        if self.stage >= 2 and self.offload_optimizer:
            return min(size, self.bucket)
        if self.stage == 0:
            return size * (2 if self.world > 1 else 1)  # DistributedDataParallel holds a second copy, in the buckets that it sends
        return size / (self.world if self.stage >= 2 else 1) + min(size, self.bucket)

    def optimizer(self, size: float) -> float:
        """Bytes of `size` on a device."""
        return 0.0 if self.offload_optimizer else size / (self.world if self.stage >= 1 else 1)

    def on_host(self, weights: float, gradients: float, optimizer: float) -> float:
        """Bytes that the processes of a node hold in its memory instead."""
        share = self.here / self.world
        moved = (optimizer + gradients) * share if self.offload_optimizer else 0.0
        return moved + (weights * share if self.offload_param else 0.0)


def of(config: Config) -> Sharding:
    """How a training is divided, by the fields that it has."""
    told: dict[str, Any] = config.model_dump(include={"nodes", "nproc_per_node", "deepspeed", "fsdp", "offload_optimizer", "offload_param"})
    here = config.gpus or told.get("nproc_per_node", 1)
    zero = _zero(told.get("deepspeed"))
    return Sharding(
        world=here * told.get("nodes", 1),
        here=here,
        stage=3 if told.get("fsdp") else int(zero.get("stage", 0)),
        offload_optimizer=bool(told.get("offload_optimizer") or zero.get("offload_optimizer")),
        offload_param=bool(told.get("offload_param") or zero.get("offload_param")),
        bucket=BUCKET if zero else 0.0,
    )


def _zero(name: str | None) -> dict[str, Any]:
    """`zero_optimization` of a preset by its name, or of a file of one's own."""
    if name is None or name.endswith(".json"):
        found: dict[str, Any] = json.loads(Path(name).read_bytes()).get("zero_optimization", {}) if name else {}
        return found
    offload = name.endswith("-offload")
    stage = int(name.removeprefix("zero").removesuffix("-offload"))
    return {"stage": stage, "offload_optimizer": offload, "offload_param": offload and stage == 3}
