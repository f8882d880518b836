"""What wraps a model that several processes train: asked for, seen to be there, and undone where the model is saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from polar_tools.errors import WorldError
from polar_tools.experiment import distributing

if TYPE_CHECKING:
    from transformers import Trainer

    from polar_tools.methods.base import Config

NAMES = {"ddp": "DistributedDataParallel", "deepspeed": "DeepSpeedEngine", "fsdp": "FSDPModule"}
"""Engine -> the class that stands for it."""


def arguments(config: Config) -> dict[str, Any]:
    """What a trainer is told of the engine."""
    if not config.is_distributed:
        return {"deepspeed": None, "fsdp": None}
    return {
        "deepspeed": distributing.settings(config) if config.deepspeed else None,
        "fsdp": config.fsdp or None,
        "ddp_backend": "nccl" if config.gpus else "gloo",
    }


@contextmanager
def alone() -> Iterator[None]:
    """While this lasts, a model is loaded whole, though weights are divided while it is trained."""
    from transformers.integrations import deepspeed

    kept = deepspeed.deepspeed_config()
    deepspeed.unset_hf_deepspeed_config()
    yield
    if kept is not None:
        deepspeed.HfDeepSpeedConfig(kept)


def begin(trainer: Trainer, config: Config) -> None:
    """Have `trainer` see to it that the engine is what was asked for, and that all processes agree on the order of rows."""
    trainer.add_callback(Engine(trainer, config))
    if config.world_size > 1 and config.train_sampling_strategy == "group_by_length":
        sampler_of = trainer._get_train_sampler
        trainer._get_train_sampler = lambda *rows: _agreed(sampler_of(*rows), trainer.args.seed)


class _SameOrder(LengthGroupedSampler):
    """transformers' sampler draws from a generator that dropout uses too, so that processes would soon each have an order of their own."""

    seed = 0
    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """accelerate says so before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        places: Iterator[int] = super().__iter__()
        return places


def _agreed(sampler: Any, seed: int) -> _SameOrder:
    made = _SameOrder(sampler.batch_size, lengths=sampler.lengths)
    made.seed = seed
    return made


class Engine(TrainerCallback):
    """Refuses to train in another way than was asked for, such as in one process after all."""

    def __init__(self, trainer: Trainer, config: Config) -> None:
        self.trainer, self.config = trainer, config

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The model is wrapped, no step is taken yet."""
        wanted, found = described(self.config), seen(self.trainer)
        if wanted != found:
            raise WorldError(f"the config asks for {_in_words(wanted)}, but what trains is {_in_words(found)}; nothing was trained")


def described(config: Config) -> dict[str, Any]:
    """The processes and the engine that a config asks for."""
    stage = {"zero_stage": config.zero.get("stage", 0)} if config.deepspeed else {}
    shared = {"sequence_parallel_size": config.sequence_parallel_size} if config.sequence_parallel_size > 1 else {}
    return {"world_size": config.world_size, "engine": NAMES.get(config.engine or ""), **stage, **shared}


def seen(trainer: Trainer) -> dict[str, Any]:
    """The processes that really train together, and what really wraps the model."""
    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    wrapped: Any = trainer.model_wrapped
    classes = {cls.__name__ for cls in type(wrapped).__mro__}
    engine = next((name for name in (*NAMES.values(), "DataParallel") if name in classes), None)
    stage = {"zero_stage": int(wrapped.zero_optimization_stage())} if engine == NAMES["deepspeed"] else {}
    shared = {"sequence_parallel_size": group.size} if (group := getattr(trainer, "sharing", None)) is not None else {}
    return {"world_size": world, "engine": engine, **stage, **shared}


def _in_words(engine: dict[str, Any]) -> str:
    stage = f" at ZeRO stage {engine['zero_stage']}" if "zero_stage" in engine else ""
    count, shared = engine["world_size"], engine.get("sequence_parallel_size")
    parts = f", {shared} to a row," if shared else ""
    return f"{count} process{'es' if count > 1 else ''}{parts} and {engine['engine'] or 'a model that nothing wraps'}{stage}"


def divides_weights(config: Config) -> bool:
    """Whether no process has all weights."""
    return config.fsdp or config.zero.get("stage") == 3


def collected(trainer: Trainer) -> dict[str, torch.Tensor]:
    """All weights of a model that is divided, in rank 0's host memory, and elsewhere none. Every process must call this."""
    state: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped) or {}
    return {name: weight.cpu() for name, weight in state.items()} if trainer.is_world_process_zero() else {}
