"""Which changes of an experiment would make it fit, each tried by the formulas that said that it doesn't."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pydantic import ValidationError

from polar_tools.errors import PolarError
from polar_tools.estimates.amounts import UnknownError
from polar_tools.estimates.planned import Estimate
from polar_tools.methods.base import Config as Experiment

IN_BATCH = ("sentence_transformer",)
"""Methods in which the rows of a batch are compared with each other: a smaller batch is another training."""
ACCUMULATED = ("grpo", "rloo", "ppo")
SHOWN = 5

Fields = dict[str, Any]
Estimated = Callable[[Experiment], Estimate]
Need = Callable[[Estimate], float | None]


@dataclass(frozen=True)
class Change:
    """Fields that an experiment would have, and what it would need then."""

    fields: Fields
    estimate: Estimate

    def __str__(self) -> str:
        return ", ".join(f"{name}: {_written(value)}" for name, value in self.fields.items())


def fitting(estimate: Estimated, config: Experiment, need: Need, limit: float) -> list[Change]:
    """Changes after which `need` is at most `limit`: single ones, or else two at a time, those that change least first."""
    found = [_first(estimate, config, options, need, limit) for options in _options(config)]
    alone = [change for change in found if change is not None]
    if alone:
        return alone[:SHOWN]
    pairs = (
        _first(estimate, config, [{**one, **other} for one in some for other in others], need, limit)
        for some, others in combinations(_options(config), 2)
    )
    return [change for change in pairs if change is not None][:SHOWN]


def _first(estimate: Estimated, config: Experiment, options: list[Fields], need: Need, limit: float) -> Change | None:
    """The first of `options`, mildest first, that is valid and fits."""
    for fields in options:
        try:
            found = estimate(type(config).model_validate({**_given(config), **fields}))
            needed = need(found)
        except (ValidationError, PolarError, UnknownError):
            continue
        if needed is not None and needed <= limit:
            return Change(fields, found)
    return None


def _given(config: Experiment) -> Fields:
    """The fields of `config` that aren't as they are by default: a field without effect would be an error."""
    return config.model_dump(exclude_defaults=True, exclude_none=True)


def _options(config: Experiment) -> list[list[Fields]]:
    """Kinds of changes, those first that leave what is learnt as it is; of each kind the mildest first."""
    kinds = [
        _checkpointing(config),
        _batches(config),
        _stages(config),
        _parts(config),
        _unseen(config),
        _adapters(config),
        _lengths(config),
    ]
    return [kind for kind in map(list, kinds) if kind]


def _checkpointing(config: Experiment) -> Iterator[Fields]:
    if not config.activation_checkpointing:
        yield {"activation_checkpointing": True}


def _batches(config: Experiment) -> Iterator[Fields]:
    """Smaller batches, of which as many more are summed."""
    rows, summed = config.per_device_train_batch_size, config.gradient_accumulation_steps
    while config.method not in IN_BATCH and rows > 1 and rows % 2 == 0:
        rows, summed = rows // 2, summed * 2
        yield {"per_device_train_batch_size": rows, "gradient_accumulation_steps": summed}


def _stages(config: Experiment) -> Iterator[Fields]:
    """ZeRO, on GPUs, for experiments that have such a field."""
    if "deepspeed" in type(config).model_fields and config.gpus:
        for preset in ("zero1", "zero2", "zero3", "zero2-offload", "zero3-offload"):
            yield {"deepspeed": preset}


def _parts(config: Experiment) -> Iterator[Fields]:
    """Rows divided among the processes that there are, with as many more batches summed."""
    for size in range(2, config.data_parallel_size + 1):
        if config.data_parallel_size % size == 0 and config.sequence_parallel_size == 1:
            yield {"sequence_parallel_size": size, "gradient_accumulation_steps": config.gradient_accumulation_steps * size}


def _unseen(config: Experiment) -> Iterator[Fields]:
    if config.preflight:
        yield {"preflight": False}


def _adapters(config: Experiment) -> Iterator[Fields]:
    if not config.use_peft:
        yield {"use_peft": True}
        yield {"use_peft": True, "quantization": "int4"}
    elif config.quantization is None:
        yield {"quantization": "int8"}
        yield {"quantization": "int4"}


def _lengths(config: Experiment) -> Iterator[Fields]:
    """Shorter rows, in steps of an eighth of a power of two."""
    whole = config.max_length or 131072
    sizes = [size * 2**power for power in range(14, -1, -1) for size in (8, 7, 6, 5)]
    side = "cut_left" if config.method in ACCUMULATED else "cut_right"
    cut = {} if config.on_too_long != "fail" else {"on_too_long": side}
    yield from ({"max_length": size, **cut} for size in sizes if size < whole)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
