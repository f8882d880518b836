"""Fewer rows at a time where memory ran out, in a step that trains on as many: half the rows, twice the accumulation.

What was found is written beside the checkpoints, so that whoever goes on, and each of several processes, begins with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import UnfinishedError, WorldError
from polar_tools.records import canonical, read_json, write_whole

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

FILE = "fitting.json"
TRAIN, EVAL = "per_device_train_batch_size", "per_device_eval_batch_size"
HELP = (
    "shorten rows (max_length), set activation_checkpointing: true, train an adapter (use_peft: true) on a quantized base "
    "(quantization: int4), load with dtype: bfloat16, or take a smaller model or a larger device"
)


def fitted(config: Config, folder: Path) -> Config:
    """`config` with as few rows at a time as were found to fit; `folder` is that of the checkpoints."""
    found = read_json(folder / FILE) or {}
    config = config.in_micro_batches(found[TRAIN]) if found.get(TRAIN, config.per_device_train_batch_size) < _rows(config) else config
    return config.model_copy(update={EVAL: min(found.get(EVAL, config.per_device_eval_batch_size), config.per_device_eval_batch_size)})


def _rows(config: Config) -> int:
    return config.per_device_train_batch_size


def halve(config: Config, folder: Path, error: BaseException) -> None:
    """Remember that fewer rows fit at a time than `config` says; raises WorldError where there is no smaller way to train on the same."""
    if not config.auto_find_batch_size:
        rows = config.per_device_train_batch_size
        raise WorldError(f"memory ran out with {rows} rows at a time; set auto_find_batch_size: true to halve them, or {HELP}") from error
    _fewer(config, TRAIN, config.per_device_train_batch_size, folder, error, "while training", "fewer would be another training")


def halve_evaluation(config: Config, rows: int, folder: Path, error: BaseException) -> int:
    """Remember, and give, half as many rows at a time for evaluations; raises WorldError where that can't be."""
    return _fewer(config, EVAL, rows, folder, error, "in an evaluation while training", "fewer would give another loss")


def _fewer(config: Config, field: str, rows: int, folder: Path, error: BaseException, where: str, but: str) -> int:
    """The next divisor of `rows`, which is remembered."""
    if (reason := config.compares_rows()) is not None:
        raise WorldError(
            f"memory ran out {where}, with {rows} rows at a time, and {but}, because {reason}. Make {field} smaller yourself, or {HELP}"
        ) from error
    if rows == 1:
        raise WorldError(f"memory ran out {where}, with a single row at a time: {HELP}") from error
    fewer = max(part for part in range(1, rows // 2 + 1) if rows % part == 0)
    _remember(folder, field, fewer)
    return fewer


def begin_again() -> UnfinishedError:
    """What one of several processes says, which can't make the others begin again."""
    return UnfinishedError(
        "memory ran out in one of several processes; run the same command again to go on from the last checkpoint with fewer rows at a time"
    )


def found(config: Config, folder: Path) -> dict[str, Any]:
    """For the manifest: what fitted, where it is less than `config` asks for."""
    told = fitted(config, folder)
    names = (TRAIN, "gradient_accumulation_steps", EVAL)
    there = {name: value for name, value in told.model_dump(include=set(names)).items() if value != config.model_dump(include={name})[name]}
    return {"memory_ran_out": {"went_on_with": there}} if there else {}


def _remember(folder: Path, name: str, rows: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, canonical({**(read_json(folder / FILE) or {}), name: rows}))
