"""A training in processes of its own: torchrun is started, told of signals, waited for, and made to speak like one process.

The process that does so owns the artifact; the processes of the training own nothing. It needs no torch, and holds no memory of a device.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import ConfigError, UnfinishedError, UserError, WorldError
from polar_tools.estimates import architecture
from polar_tools.estimates.amounts import UnknownError
from polar_tools.specs import freeze
from polar_tools.trainers import heads
from polar_tools.training import log_file, nodes, outcomes

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from polar_tools.methods.base import Config
    from polar_tools.specs import TrainSpec

ALLOCATOR, FORMER_ALLOCATOR = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"
POLL = 0.1
"""Seconds from one look at torchrun to the next."""

Found = tuple[dict[str, Any], dict[str, Any]]
"""What a training found out: what is the same in every run, and what is not."""


def check(config: Config) -> None:
    """Raise WorldError, with what to do, where the package or the GPUs that are asked for aren't here.

    Raises ConfigError where processes are to share more than the model has.
    """
    if config.deepspeed is not None and importlib.util.find_spec("deepspeed") is None:
        raise WorldError("deepspeed: the package deepspeed isn't here: pip install 'polar-tools[distributed]'")
    if config.gpus:
        import torch

        if config.gpus > (count := torch.cuda.device_count()):
            raise WorldError(
                f"the config asks for gpus: {config.gpus}, but this machine shows {count} (CUDA_VISIBLE_DEVICES says which); "
                "set `gpus` to that, or `gpus: 0` to run on the CPU"
            )
    if config.sequence_parallel_size > 1:
        with suppress(UnknownError):  # a model of a kind that nobody knows tells it when it is loaded
            heads.refuse_undivided(architecture.read(Path(config.model)).stacks[-1].heads, config.sequence_parallel_size)


def set_up(gpus: int) -> None:
    """Say to the libraries of this process and its children, before they look, which devices there are, and how to hold their memory.

    Rows of different lengths cut the memory of a GPU into pieces that no longer row fits into; expandable segments grow instead.
    """
    os.environ["DS_ACCELERATOR"] = "cuda" if gpus else "cpu"  # DeepSpeed would guess, and say so, wherever it is installed
    if not gpus:
        return
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(gpus)] if shown is None else shown.split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[:gpus])  # a trainer that sees more than its own would use them
    if FORMER_ALLOCATOR not in os.environ:
        os.environ.setdefault(ALLOCATOR, "expandable_segments:True")


def run(spec: TrainSpec, folder: Path, data_collator: Any = None) -> Found:
    """Train as `session.run` does, in as many processes as the spec asks for; on several machines, in this one's part of them.

    Raises what a process raised, and UnfinishedError, WorldError or KeyboardInterrupt where one was ended.
    """
    if data_collator is not None:
        raise ConfigError("data_collator: an object can't be handed to other processes; train in one, or write a method that has it")
    config, here = spec.experiment, nodes.here(spec.experiment.nodes)
    left = folder / outcomes.FOLDER
    if here.number == 0:
        shutil.rmtree(left, ignore_errors=True)
    left.mkdir(exist_ok=True)
    ranks = range(here.number * config.processes_per_node, (here.number + 1) * config.processes_per_node)
    command = [*_torchrun(config, here, left), "-m", "polar_tools.training.rank", str(folder)]
    try:
        with _signals() as received:
            status = _wait(subprocess.Popen(command, env=_environment(config), start_new_session=True), received, left, ranks)
        said = outcomes.said(left)
        if here.number and not status:
            return {}, {}
        if status or "recorded" not in said.get(0, {}):
            _keep_logs(left, folder / log_file.NAME, said)
            raise _error(said, outcomes.ended(left), received, config.world_size, folder)
        return said[0]["recorded"], said[0]["measured"]
    finally:
        if here.number == 0:
            shutil.rmtree(left, ignore_errors=True)


def joined(folder: Path) -> bool:
    """Do the part that another machine than the first has in the training in `folder`; False where it has none, being of one machine.

    The artifact is the first machine's: here nothing is written but by the processes.
    """
    from polar_tools import artifact

    spec, _ = artifact.asked(folder, "train")
    if spec.experiment.nodes == 1:
        return False
    here = nodes.here(spec.experiment.nodes)
    if artifact.is_done(folder, spec, freeze(spec), artifact.Records()):
        print(f"{folder}: up to date")
        return True
    print(f"{folder}: node {here.number} of {spec.experiment.nodes} waits for node 0 at {here.address}:{here.port}", flush=True)
    check(spec.experiment)
    set_up(spec.experiment.gpus)
    run(spec, folder)
    print(f"{folder}: node {here.number} has done its part")
    return True


def apart(work: Callable[[TrainSpec, Path], None], spec: TrainSpec, folder: Path) -> None:
    """Do `work` in a process of its own that sees one GPU at most, and raise what it raises: what it held is free again afterwards."""
    from multiprocessing import get_context

    os.environ[outcomes.LAUNCHER] = str(os.getpid())
    spawn = get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_do_apart, args=(sender, work, spec, folder))
    process.start()
    sender.close()
    try:
        outcome = receiver.recv()
    except EOFError:
        process.join()
        raise WorldError(f"the process that was to look ahead was ended, with status {process.exitcode}: did memory run out?") from None
    finally:
        process.kill()  # it has said all, or this process is told to stop
        process.join()
    if outcome:
        raise _raised(outcome)


def _do_apart(sender: Connection, work: Callable[[TrainSpec, Path], None], spec: TrainSpec, folder: Path) -> None:
    outcomes.die_with_parent()
    set_up(min(1, spec.experiment.gpus))
    try:
        with log_file.written(folder / log_file.NAME):
            work(spec, folder)
    except BaseException as error:
        sender.send(outcomes.told(error))
    else:
        sender.send({})


def _torchrun(config: Config, here: nodes.Node, left: Path) -> list[str]:
    """The command that starts the processes of this machine. With addresses given by hand, and not found by c10d, node 0 has rank 0."""
    command = [sys.executable, "-m", "polar_tools.training.torchrun", str(left), f"--nproc-per-node={config.processes_per_node}"]
    if config.nodes == 1:
        return [*command, "--standalone"]
    met = [f"--nnodes={config.nodes}", f"--node-rank={here.number}", f"--master-addr={here.address}", f"--master-port={here.port}"]
    return [*command, *met, f"--rdzv-conf=timeout={nodes.PATIENCE}"]


def _environment(config: Config) -> Mapping[str, str]:
    """What the processes find in their environment. PYTHONSAFEPATH: a folder `datasets` here is no library."""
    told = {outcomes.LAUNCHER: str(os.getpid()), "OMP_NUM_THREADS": str(config.threads), "PYTHONSAFEPATH": "1"}
    return {"TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ, **told}


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that come while this lasts, rather than what they would do."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    former = {number: signal.signal(number, lambda number, _: received.append(number)) for number in outcomes.PASSED_ON}
    try:
        yield received
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait(process: subprocess.Popen[bytes], received: list[int], left: Path, ranks: range) -> int:
    """The exit status of torchrun; signals are passed on meanwhile, to those who are there, and to those who come later."""
    done: dict[int, int] = dict.fromkeys(ranks, 0)
    while process.poll() is None:
        time.sleep(POLL)
        for rank in ranks:
            file = left / f"{rank}.pid"
            for number in received[done[rank] :] if file.is_file() else ():
                done[rank] += 1
                _send(int(file.read_text(encoding="utf-8")), number)
    return process.returncode


def _send(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _keep_logs(left: Path, log: Path, said: Mapping[int, Mapping[str, Any]]) -> None:
    """Add to a training's log what processes printed that nobody saw, and where they failed."""
    with log.open("a", encoding="utf-8") as file:
        for printed in sorted(left.glob("*.log")):
            file.write(f"--- what process {printed.stem} printed ---\n{printed.read_text(encoding='utf-8', errors='replace')}")
        for rank, outcome in said.items():
            if "traceback" in outcome:
                file.write(f"--- process {rank} ---\n{outcome['traceback']}")


def _error(
    said: Mapping[int, Mapping[str, Any]], ended: Mapping[int, int], received: list[int], processes: int, folder: Path
) -> BaseException:
    """What to raise for a training that came to no end: the cause, rather than what the others said when they lost it."""
    killed = {rank: -status for rank, status in ended.items() if status < 0}
    if received and not any("status" in outcome for outcome in said.values()):
        name = signal.Signals(received[0]).name
        return KeyboardInterrupt() if received[0] == signal.SIGINT else UnfinishedError(f"stopped by {name}; run the same command again")
    for rank, number in killed.items():
        name = signal.Signals(number).name
        return WorldError(
            f"process {rank} of {processes} was ended by {name}{', as where memory runs out' if number == signal.SIGKILL else ''}; "
            f"{folder / log_file.NAME} has what it said last. The same command goes on from the last checkpoint"
        )
    order = sorted(said.items(), key=lambda item: ("status" not in item[1], item[1]["time"]))
    failed = [(rank, outcome) for rank, outcome in order if "recorded" not in outcome]
    if not failed:
        return WorldError(f"the processes of this machine ended before they had begun; {folder / log_file.NAME} may say why")
    rank, first = failed[0]
    if "status" in first or "interrupted" in first:
        return _raised(first)
    return WorldError(f"process {rank} of {processes} failed: {first['message']}; {folder / log_file.NAME} says where")


def _raised(outcome: Mapping[str, Any]) -> BaseException:
    """The error that a process left."""
    if "interrupted" in outcome:
        return KeyboardInterrupt()
    kinds = {UserError.exit_status: UserError, UnfinishedError.exit_status: UnfinishedError}
    return kinds.get(outcome.get("status", 1), WorldError)(outcome["message"])
