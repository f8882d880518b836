"""How checkpoints are written: complete or not at all, and none is deleted before a newer one is whole."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from polar_tools.errors import PolarError, WorldError, first_line
from polar_tools.training import checkpoints, processes
from polar_tools.training.checkpoints import MARKER, Origin
from polar_tools.training.running import Running

LITTLE = 1_000_000
"""With fewer bytes free a disk counts as full."""
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class AfterTheEpoch(TrainerCallback):
    """Puts the checkpoint of an epoch's last step off until all that happens at the end of an epoch is done.

    A training that went on from it would leave that out: the epoch's evaluation, or its line of the log.
    """

    def __init__(self) -> None:
        self.due = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The step is taken, and nothing of what follows it."""
        self.due = control.should_save and float(state.epoch).is_integer()
        control.should_save = control.should_save and not self.due

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluations come before the checkpoint."""
        control.should_save, self.due = control.should_save or self.due, False


def watch(trainer: Any, origin: Origin, limit: int) -> Running:
    """Have `trainer` write checkpoints that are marked as those of `origin`, of which the newest `limit` stay, and the best."""
    save, running, folder = trainer._save_checkpoint, Running(trainer), Path(trainer.args.output_dir)

    def _save_checkpoint(model: Any, trial: Any) -> None:
        step = trainer.state.global_step
        target = folder / f"checkpoint-{step}"
        (target / MARKER).unlink(missing_ok=True)  # an earlier one of the same step, which is about to be written over
        try:
            save(model, trial)
            running.save(target)
            _complete(trainer, target, origin)
        except PolarError:
            raise
        except Exception as error:
            shutil.rmtree(target, ignore_errors=True)
            raise _unwritten(step, folder, error) from error
        if trainer.args.should_save:
            _rotate(folder, limit, trainer.state.best_model_checkpoint)

    trainer._save_checkpoint = _save_checkpoint
    trainer.add_callback(running)
    return running


def _complete(trainer: Any, target: Path, origin: Origin) -> None:
    """Mark a checkpoint, by one process, once all have written their part."""
    processes.wait_for_all()
    if trainer.args.should_save:
        checkpoints.mark(target, origin, exact=not trainer.args.save_only_model)
    processes.wait_for_all()


def _rotate(folder: Path, limit: int, best: str | None) -> None:
    """Delete what is older than the newest `limit`. The marker goes first: what is left of a killed deletion is no checkpoint."""
    for path in checkpoints.all_in(folder)[limit:]:
        if best is None or path.name != Path(best).name:
            (path / MARKER).unlink(missing_ok=True)
            shutil.rmtree(path)


def _unwritten(step: int, folder: Path, error: Exception) -> WorldError:
    good = checkpoints.newest(folder)
    kept = "no checkpoint was written before" if good is None else f"the one before is whole: {good}"
    return WorldError(
        f"the checkpoint of step {step} couldn't be written, because {_reason(folder, error)}; {kept}. "
        "Put that right, then run the same command again to go on from there"
    )


def _reason(folder: Path, error: Exception) -> str:
    """What a person can do something about; libraries often only say that a write failed."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EDQUOT:
        return "your share of the disk is used up"
    if number == errno.ENOSPC or "os error 28" in str(error) or shutil.disk_usage(folder).free < LITTLE:
        return "there is no space left on the disk"
    if number in READ_ONLY or "os error 30" in str(error):
        return f"{folder} can't be written to ({first_line(error)})"
    return f"writing failed ({first_line(error)})"
