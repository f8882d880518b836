"""One training from its spec: trainer, checkpoints, saved model. It knows no method, and nothing of artifacts."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import modeling, tokens
from polar_tools.errors import ConfigError, UnfinishedError
from polar_tools.training import building

if TYPE_CHECKING:
    from transformers import Trainer

    from polar_tools.methods.base import Config
    from polar_tools.specs import TrainSpec
    from polar_tools.training.stopping import EarlyStopping


def run(spec: TrainSpec, folder: Path, data_collator: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write model/ (weights or adapter, tokenizer), checkpoints/ and metrics.jsonl.

    Returns what was found out: what is the same in every run of the same work, and what differs from run to run.
    """
    from polar_tools.training import engines

    trainer = _trained(spec, folder, data_collator)
    facts = {"seed": spec.seed, **modeling.loaded(trainer.model, spec.experiment), **_told(trainer, spec.experiment)}
    if spec.experiment.is_distributed:
        facts |= engines.described(spec.experiment)
    if data_collator is not None:
        facts["data_collator"] = f"{type(data_collator).__module__}.{type(data_collator).__qualname__}"
    distance = building.save(trainer, spec, folder)
    return facts, {} if distance is None else {"merged_differs_by": distance}


def _trained(spec: TrainSpec, folder: Path, data_collator: Any) -> Trainer:
    """The trainer after its last step. Where memory runs out it is made anew, for a smaller batch, if `auto_find_batch_size` says so."""
    import torch

    from polar_tools.training import checkpoints
    from polar_tools.training.batch_size import SmallerBatchError

    while True:
        checkpoint = checkpoints.to_go_on_from(spec.experiment, folder / "checkpoints")
        if checkpoint is None:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        elif spec.experiment.auto_find_batch_size:
            spec = _with_batch_of(spec, checkpoints.batch_size(checkpoint))
        trainer = _build(spec, folder)
        trainer.data_collator = data_collator or trainer.data_collator
        try:
            if spec.experiment.do_train:
                _train(trainer, checkpoint)
            return trainer
        except SmallerBatchError as error:
            print(f"{error}; beginning again", flush=True)
            spec = _with_batch_of(spec, error.rows)
        del trainer
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        gc.collect()
        torch.cuda.empty_cache()


def _with_batch_of(spec: TrainSpec, rows: int) -> TrainSpec:
    """`spec` with as many rows a step."""
    experiment = spec.experiment.model_copy(update={"per_device_train_batch_size": rows})
    return spec.model_copy(update={"experiment": experiment})


def _train(trainer: Trainer, checkpoint: Path | None) -> None:
    """Train, from `checkpoint` if there is one."""
    from polar_tools.training import checkpoints, stopping

    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except checkpoints.AlreadyFinishedError:
        if checkpoint is not None and checkpoint.parent != Path(trainer.args.output_dir):
            raise ConfigError(f"resume_from_checkpoint: {checkpoint} has all {trainer.state.global_step} steps; raise max_steps") from None
        if trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint is not None:
            trainer._load_best_model()  # which the last step would have done
    except KeyError as error:
        stopping.refuse_unknown_metric(trainer, error)
        raise
    _check_finished(trainer)


def _build(spec: TrainSpec, folder: Path) -> Trainer:
    """The trainer of all rows, and what looks on."""
    from polar_tools.training import finite

    config = spec.experiment
    trains_on = building.trains_on(config)
    rendered = Path(spec.tokenizer).parent
    watched = {
        name: building.rows(trains_on, Path(data), "test", rendered / tokens.EVALUATION / name)
        for name, data in config.eval_datasets.items()
    }
    train = building.rows(trains_on, Path(config.dataset), "train", rendered)
    model = building.model(spec)
    trainer = building.trainer(spec, config, model, train, watched or None, folder / "checkpoints", _callbacks(config, folder))
    finite.watch(trainer)
    return trainer


def _callbacks(config: Config, folder: Path) -> list[Any]:
    """What looks on while any method trains."""
    from polar_tools.training import allocation, batch_size, checkpoints, finite, stopping
    from polar_tools.training.metrics_log import MetricsLog

    callbacks = [batch_size.BeginAgain(), MetricsLog(folder / "metrics.jsonl"), checkpoints.MarkComplete(), finite.RefuseBroken()]
    callbacks += [allocation.Allocation(), checkpoints.StopIfFinished()]
    if config.early_stopping_patience is not None:
        callbacks.append(stopping.EarlyStopping(config.early_stopping_patience, config.early_stopping_threshold))
    return callbacks


def _early_stopping(trainer: Trainer) -> EarlyStopping | None:
    from polar_tools.training.stopping import EarlyStopping

    return next((callback for callback in trainer.callback_handler.callbacks if isinstance(callback, EarlyStopping)), None)


def _check_finished(trainer: Trainer) -> None:
    """The trainer returns as if all were well also when it was told to stop."""
    early = _early_stopping(trainer)
    if trainer.state.global_step < trainer.state.max_steps and not (early and early.stopped):
        raise UnfinishedError(
            f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}; run the same command again to go on"
        )


def _told(trainer: Trainer, config: Config) -> dict[str, Any]:
    """What the training found out, the same in every run."""
    from polar_tools.training.metrics_log import steady

    state, early = trainer.state, _early_stopping(trainer)
    logged = [entry["loss"] for entry in state.log_history if "loss" in entry]
    facts: dict[str, Any] = {"steps": state.global_step}
    if logged:
        facts |= {"first_loss": logged[0], "last_loss": logged[-1]}
    if config.auto_find_batch_size:
        facts["per_device_train_batch_size"] = trainer.args.per_device_train_batch_size
    if config.best_metric() is not None:
        facts |= {"best_step": state.best_global_step, "best_metric": state.best_metric}
    if early:
        facts["stopped_early"] = early.stopped
    if config.do_eval:
        facts["eval_metrics"] = {name: value for name, value in steady(trainer.evaluate()).items() if name != "epoch"}
    return facts
