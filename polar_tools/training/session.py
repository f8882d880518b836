"""One training from its spec: trainer, checkpoints, saved model. It knows no method, and nothing of artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import memory, modeling, prompting, signals, tokens
from polar_tools.errors import ConfigError, UnfinishedError, WorldError
from polar_tools.training import building

if TYPE_CHECKING:
    from transformers import Trainer

    from polar_tools.methods.base import Config
    from polar_tools.specs import TrainSpec
    from polar_tools.training.checkpoints import Origin
    from polar_tools.training.stopping import EarlyStopping


def run(spec: TrainSpec, folder: Path, data_collator: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write model/ (weights or adapter, tokenizer), checkpoints/ and metrics.jsonl.

    Returns what was found out: what is the same in every run of the same work, and what differs from run to run.
    """
    with signals.listening():  # as one of several processes, which no command has told to
        return _run(spec, folder, data_collator)


def _run(spec: TrainSpec, folder: Path, data_collator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from polar_tools.training import engines, micro_batch, usage

    trainer, origin = _trained(spec, folder, data_collator)
    facts = {"seed": spec.seed, **modeling.loaded(trainer.model, spec.experiment), **_told(trainer, spec.experiment)}
    if spec.experiment.is_distributed:
        facts |= engines.described(spec.experiment)
    if prompts := prompting.of(spec.experiment, Path(spec.tokenizer)):
        facts["prompts"] = prompts
    if origin.went_on_from:
        facts["went_on_from"] = list(origin.went_on_from)
    if data_collator is not None:
        facts["data_collator"] = f"{type(data_collator).__module__}.{type(data_collator).__qualname__}"
    distance = building.save(trainer, spec, folder)
    measured = {**usage.of(trainer).measured(), **micro_batch.found(spec.experiment, folder / "checkpoints")}
    return facts, measured if distance is None else {**measured, "merged_differs_by": distance}


def _trained(spec: TrainSpec, folder: Path, data_collator: Any) -> tuple[Trainer, Origin]:
    """The trainer after its last step, and what it is of. Where memory runs out it is made anew, with fewer rows at a time."""
    from polar_tools.training import checkpoints, micro_batch, processes, resuming

    origin, saved = checkpoints.origin_of(spec), folder / "checkpoints"
    while True:
        config = micro_batch.fitted(spec.experiment, saved)
        try:
            trainer = _build(spec, config, folder, data_collator)
        except Exception as error:
            if memory.ran_out(error):
                raise WorldError(f"memory ran out before the first step, with the model alone: {micro_batch.HELP}") from error
            raise
        checkpoint, whole = processes.agreed(lambda: resuming.found(spec.experiment, folder, origin))
        try:
            if spec.experiment.do_train:
                _train(trainer, config, checkpoint, whole)
            return trainer, whole
        except Exception as error:
            if not memory.ran_out(error):
                raise
            micro_batch.halve(config, saved, error)
            if processes.count() > 1:
                raise micro_batch.begin_again() from error
        del trainer
        memory.free()
        memory.note("training", micro_batch.fitted(config, saved).per_device_train_batch_size)


def _train(trainer: Trainer, config: Config, checkpoint: Path | None, origin: Origin) -> None:
    """Train, from `checkpoint` if there is one."""
    from polar_tools.training import progress, resuming, saving, stopping

    running = saving.watch(trainer, origin, config.save_total_limit)
    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
        running.checkpoint = checkpoint
        if checkpoint.parent != Path(trainer.args.output_dir) and origin.went_on_from:
            trainer.add_callback(resuming.Reschedule())
    try:
        with signals.saving_first(), progress.shown(trainer, Path(trainer.args.output_dir).parent):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except resuming.AlreadyFinishedError:
        if checkpoint is not None and checkpoint.parent != Path(trainer.args.output_dir):
            field = "extend_training" if origin.went_on_from else "resume_from_checkpoint"
            raise ConfigError(f"{field}: {checkpoint} has all {trainer.state.global_step} steps; raise max_steps") from None
        if trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint is not None:
            trainer._load_best_model()  # which the last step would have done
    except KeyError as error:
        stopping.refuse_unknown_metric(trainer, error)
        raise
    _check_finished(trainer)


def _build(spec: TrainSpec, config: Config, folder: Path, data_collator: Any = None) -> Trainer:
    """The trainer of all rows, and what looks on; `config` is the spec's, perhaps with fewer rows at a time."""
    from polar_tools.training import allocation, evaluating, finite

    trains_on = building.trains_on(config)
    rendered = Path(spec.tokenizer).parent
    watched = {
        name: building.rows(trains_on, Path(data), "test", rendered / tokens.EVALUATION / name)
        for name, data in config.eval_datasets.items()
    }
    train = building.rows(trains_on, Path(config.dataset), "train", rendered)
    model = building.model(spec)
    trainer = building.trainer(spec, config, model, train, watched or None, folder / "checkpoints", _callbacks(config, folder))
    trainer.data_collator = data_collator or trainer.data_collator
    allocation.watch(trainer)
    finite.watch(trainer)
    evaluating.watch(trainer, spec.experiment, folder / "checkpoints")
    return trainer


def _callbacks(config: Config, folder: Path) -> list[Any]:
    """What looks on while any method trains; those that decide whether a checkpoint is written come before the one that may refuse it."""
    from polar_tools.training import allocation, finite, preemption, resuming, saving, stopping
    from polar_tools.training.metrics_log import MetricsLog
    from polar_tools.training.usage import Usage

    callbacks = [MetricsLog(folder / "metrics.jsonl"), preemption.Preemption(), saving.AfterTheEpoch(), finite.RefuseBroken()]
    callbacks += [allocation.Allocation(), resuming.StopIfFinished(), Usage(config.sequence_parallel_size)]
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
    if config.best_metric() is not None:
        facts |= {"best_step": state.best_global_step, "best_metric": state.best_metric}
    if early:
        facts["stopped_early"] = early.stopped
    if config.do_eval:
        facts["eval_metrics"] = {name: value for name, value in steady(trainer.evaluate()).items() if name != "epoch"}
    return facts
