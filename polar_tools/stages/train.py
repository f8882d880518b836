"""Train one run of an experiment. The method knows how; this file knows no method."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from polar_tools import discovery, modeling, tokens
from polar_tools.artifact import Facts
from polar_tools.errors import UnfinishedError, WorldError
from polar_tools.preflight import FOLDER as PREFLIGHT
from polar_tools.preflight import before_training
from polar_tools.specs import TrainSpec
from polar_tools.training import building

if TYPE_CHECKING:
    from transformers import Trainer

LIBRARIES = (*modeling.LIBRARIES, "accelerate", "datasets", "numpy", "peft", "trl")


def run(spec: TrainSpec, folder: Path, preflight: bool = True) -> Facts:
    """Write model/ (weights or adapter, tokenizer), checkpoints/ and metrics.jsonl; first look whether all is as it should be."""
    if preflight:
        before_training(spec, folder)
    trainer = _build(spec, folder)
    _train(trainer, folder / "checkpoints")
    _check_finished(trainer)
    building.save(trainer, spec, folder / spec.PAYLOAD)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    losses = {"first_loss": logged[0], "last_loss": logged[-1]} if logged else {}
    return Facts(recorded={"seed": spec.seed, "steps": trainer.state.global_step, **losses}, volatile=("checkpoints", PREFLIGHT))


def _train(trainer: Trainer, folder: Path) -> None:
    """Train, from the newest whole checkpoint in `folder` if there is one."""
    from polar_tools.training import checkpoints

    checkpoint = checkpoints.newest(folder)
    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
    with suppress(checkpoints.AlreadyFinishedError):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def _build(spec: TrainSpec, folder: Path) -> Trainer:
    """The trainer of all rows, with what is written while it trains."""
    from polar_tools.training import checkpoints
    from polar_tools.training.metrics_log import MetricsLog

    config = spec.experiment
    trains_on = discovery.load("methods", config.method).TRAINS_ON
    rendered = Path(spec.tokenizer).parent
    evaluation = {
        name: building.rows(trains_on, Path(data), "test", rendered / tokens.EVALUATION / name)
        for name, data in config.eval_datasets.items()
    }
    return building.trainer(
        spec,
        config,
        building.rows(trains_on, Path(config.dataset), "train", rendered),
        evaluation or None,
        folder / "checkpoints",
        [MetricsLog(folder / "metrics.jsonl"), checkpoints.MarkComplete(), checkpoints.StopIfFinished()],
    )


def _check_finished(trainer: Trainer) -> None:
    """The trainer returns as if all were well also when it was told to stop."""
    if trainer.state.global_step < trainer.state.max_steps:
        raise UnfinishedError(
            f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}; run the same command again to go on"
        )
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(float(loss)) for loss in losses):
        raise WorldError("the loss became NaN or infinite; lower learning_rate or max_grad_norm")
