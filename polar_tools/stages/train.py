"""Train one run of an experiment. The method knows how; this file knows no method."""

from __future__ import annotations

import math
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, discovery, modeling, tokens
from polar_tools.artifact import Facts
from polar_tools.errors import UnfinishedError, WorldError
from polar_tools.specs import TrainSpec

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

LIBRARIES = (*modeling.LIBRARIES, "accelerate", "datasets", "numpy", "peft", "trl")


def run(spec: TrainSpec, folder: Path) -> Facts:
    """Write model/ (weights or adapter, tokenizer), checkpoints/ and metrics.jsonl."""
    trainer = _build(spec, folder)
    _train(trainer, folder / "checkpoints")
    _check_finished(trainer)
    _save(trainer, spec, folder / spec.PAYLOAD)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    losses = {"first_loss": logged[0], "last_loss": logged[-1]} if logged else {}
    return Facts(recorded={"seed": spec.seed, "steps": trainer.state.global_step, **losses}, volatile=("checkpoints",))


def _train(trainer: Trainer, folder: Path) -> None:
    """Train, from the newest whole checkpoint in `folder` if there is one."""
    from polar_tools.training import checkpoints

    checkpoint = checkpoints.newest(folder)
    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
    with suppress(checkpoints.AlreadyFinishedError):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def _build(spec: TrainSpec, folder: Path) -> Trainer:
    """Model, adapter, tokens and callbacks, put together by the method."""
    from transformers import PrinterCallback

    from polar_tools.training import checkpoints
    from polar_tools.training.metrics_log import MetricsLog

    config = spec.experiment
    method = discovery.load("methods", config.method)
    modeling.seed_everything(spec.seed, config.threads, config.gpus)
    rendered = Path(spec.tokenizer).parent
    trainer: Trainer = method.build_trainer(
        config,
        modeling.load_model(config.model, method, config, modeling.load_features(spec.tokenizer), adapter=True),
        modeling.load_processor(spec.tokenizer, method),
        _rows(method.TRAINS_ON, Path(config.dataset), "train", rendered),
        {
            name: _rows(method.TRAINS_ON, Path(data), "test", rendered / tokens.EVALUATION / name)
            for name, data in config.eval_datasets.items()
        }
        or None,
        [MetricsLog(folder / "metrics.jsonl"), checkpoints.MarkComplete(), checkpoints.StopIfFinished()],
        output_dir=str(folder / "checkpoints"),
        seed=spec.seed,
        use_cpu=config.gpus == 0,
        report_to="none",
        disable_tqdm=True,
    )
    trainer.remove_callback(PrinterCallback)  # MetricsLog prints the same, for people
    return trainer


def _rows(trains_on: str, prepared: Path, part: str, rendered: Path) -> Dataset:
    """The rows of a part as a method's trainer takes them: what was rendered, or the prepared rows but for those that were dropped."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    if trains_on == "tokens":
        return Dataset(pq.read_table(datasets.shards(rendered / "tokens", part)))
    return Dataset(tokens.kept(datasets.shards(prepared, part), rendered))


def _check_finished(trainer: Trainer) -> None:
    """The trainer returns as if all were well also when it was told to stop."""
    if trainer.state.global_step < trainer.state.max_steps:
        raise UnfinishedError(
            f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}; run the same command again to go on"
        )
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(float(loss)) for loss in losses):
        raise WorldError("the loss became NaN or infinite; lower learning_rate or max_grad_norm")


def _save(trainer: Trainer, spec: TrainSpec, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    model: Any = trainer.model
    if spec.experiment.use_peft and spec.experiment.merge_adapter:
        model = modeling.merged(model)
    modeling.save_model(model, target)
    for file in sorted(Path(spec.tokenizer).iterdir()):
        if file.name != "features.json":
            shutil.copyfile(file, target / file.name)
