"""Activations that wait for the backward pass in the host's memory."""

from __future__ import annotations

from typing import Any


def offload(trainer: Any) -> None:
    """Let `trainer` keep what the backward pass needs in the host's memory; trl's trainers that know the field do so themselves."""
    if "activation_offloading" in type(trainer.args).__dataclass_fields__:
        return
    from trl.models.activation_offloading import OffloadActivations

    step = trainer.training_step

    def training_step(*inputs: Any, **named: Any) -> Any:
        with OffloadActivations():
            return step(*inputs, **named)

    trainer.training_step = training_step
