"""`python -m polar_tools.training.rank FOLDER`: one process of a training that has several, as torchrun starts it.

It owns nothing: rank 0 writes the model, and what it found out goes to the tool that launched it all.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polar_tools import consumption, signals
from polar_tools.training import outcomes

if TYPE_CHECKING:
    from polar_tools.specs import TrainSpec


def main(folder: Path) -> int:
    """Train as the spec in `folder` says; gives the exit status, by which torchrun knows whether to end the others."""
    outcomes.die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # torchrun ignores signals, and a child inherits that
    rank, left = int(os.environ["RANK"]), folder / outcomes.FOLDER
    left.mkdir(exist_ok=True)
    if rank:
        _print_to(left / f"{rank}.log")
    outcomes.be_known(left, rank)
    try:
        with signals.listening():
            recorded, measured = _train(folder, rank)
    except BaseException as error:  # torchrun ends the others then, who would wait for this one
        outcomes.say(left, rank, outcomes.told(error))
        return 1
    outcomes.say(left, rank, {"recorded": recorded, "measured": measured})
    return 0


def _train(folder: Path, rank: int) -> tuple[dict[str, object], dict[str, object]]:
    from polar_tools import auto_preset, specs
    from polar_tools.training import log_file, session

    spec = specs.thaw((folder / "spec.json").read_bytes(), str(folder / "spec.json"))
    if not isinstance(spec, specs.TrainSpec):
        raise TypeError(f"{folder} is no training")
    spec = auto_preset.settled(spec)
    with log_file.written(folder / log_file.NAME) if rank == 0 else contextlib.nullcontext():
        _join(spec)
        recorded, measured = session.run(spec, folder)
    return recorded, {"peak_memory_mb": consumption.peak_mb(), **measured}


def _join(spec: TrainSpec) -> None:
    """Meet the other processes, on this one's device."""
    config = spec.experiment
    if config.gpus:
        import torch

        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if config.deepspeed is not None:
        import deepspeed

        with contextlib.redirect_stdout(io.StringIO()):  # it says what it builds
            deepspeed.init_distributed(dist_backend="nccl" if config.gpus else "gloo", verbose=False)


def _print_to(file: Path) -> None:
    """Let all that this process and its libraries print go to `file`: rank 0 speaks for all."""
    sys.stdout.flush()
    with file.open("ab", buffering=0) as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)


if __name__ == "__main__":
    status = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what libraries do at an interpreter's end may wait for processes that are gone
