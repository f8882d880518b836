"""What of a training's state each process holds: ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 5) and FSDP, by numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

ELEMENTS = 5e8
"""DeepSpeed's reduce_bucket_size, where nobody says another."""


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
    """How a training is divided, by its fields."""
    zero = config.zero
    return Sharding(
        world=config.world_size,
        here=config.processes_per_node,
        stage=3 if config.fsdp else int(zero.get("stage", 0)),
        offload_optimizer=_to_host(zero, "offload_optimizer"),
        offload_param=_to_host(zero, "offload_param"),
        bucket=0.0 if not zero else 2.0 * _size(zero.get("reduce_bucket_size")),
    )


def _to_host(zero: dict[str, Any], part: str) -> bool:
    """Whether DeepSpeed moves a part off the devices; `none` is its word for no."""
    told: dict[str, Any] = zero.get(part) or {}
    return str(told.get("device", "none")) != "none"


def _size(told: Any) -> float:
    """Elements of a bucket; what isn't said, or is `auto`, is DeepSpeed's own."""
    return float(told) if isinstance(told, int | float) else ELEMENTS
