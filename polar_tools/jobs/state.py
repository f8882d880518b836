"""What lies on the disk of a job: its order, written once, and its state, written whole whenever it changes.

FOLDER/ID/order.json   what was asked for, and the command line that it became
FOLDER/ID/state.json   how it stands, by the process that looks after it
FOLDER/ID/output, log  what the tool wrote to stdout and stderr
FOLDER/ID/cancelled    there while it is to end
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from polar_tools import processes
from polar_tools.errors import UserError
from polar_tools.records import canonical, read_json, write_whole

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
AT_WORK: tuple[State, ...] = ("queued", "running")
ORDER, STATE, OUTPUT, LOG, CANCELLED, ATTEMPT = "order.json", "state.json", "output", "log", "cancelled", ".attempt"
SLOTS = ".slots"
"""In the folder of all jobs: a file for each job that may run at once."""


@dataclass(frozen=True)
class Job:
    """A job, by its folder."""

    folder: Path

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def __fspath__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    tool: str
    arguments: dict[str, Any]
    words: list[str]
    """The command line, behind `polar-tools`."""
    cwd: str
    """The folder in which it runs, and below which its paths are."""
    at_once: int | None
    """How many jobs of the folder that have such a number may run at once; None: it waits for none."""
    created: str


@dataclass(frozen=True)
class Process:
    """A process that can't be taken for another."""

    pid: int
    born: str
    machine: str
    host: str

    @classmethod
    def here(cls, pid: int) -> Process:
        """A process of this machine."""
        return cls(pid, processes.born(pid) or "", processes.machine(), socket.gethostname())

    def lives(self) -> bool | None:
        """Whether it is there; None where this machine can't tell."""
        return None if self.machine != processes.machine() else processes.born(self.pid) == self.born


@dataclass(frozen=True)
class Standing:
    """How a job stands, as its supervisor last wrote it."""

    state: State
    supervisor: Process | None = None
    starter: Process | None = None
    """Who starts it, until there is a supervisor."""
    exit_status: int | None = None
    message: str | None = None
    began: str | None = None
    ended: str | None = None
    log_from: int = 0
    """Where in the log the last attempt begins, in bytes."""

    def is_gone(self) -> bool:
        """Whether nobody is left who would see to it that it ends."""
        responsible = self.supervisor or self.starter
        return self.state in AT_WORK and responsible is not None and responsible.lives() is False

    def but(self, **changes: Any) -> Standing:
        """The same with some fields changed."""
        return replace(self, **changes)


def now() -> str:
    """The time as job files have it: UTC, to the microsecond, so that jobs have an order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def order(job: Job) -> Order:
    """What was asked for; raises UserError where there is no such job."""
    told = read_json(job.folder / ORDER)
    if told is None:
        raise UserError(f"there is no job in {job.folder}")
    return Order(**told)


def standing(job: Job) -> Standing:
    """What its supervisor last wrote; raises UserError where there is no such job."""
    told = read_json(job.folder / STATE)
    if told is None:
        raise UserError(f"there is no job in {job.folder}")
    people = {name: Process(**told[name]) if told[name] else None for name in ("supervisor", "starter")}
    return Standing(**{**told, **people})


def write(job: Job, what: Order | Standing) -> None:
    """Write an order or a standing, whole or not at all; only whoever started the job can read it."""
    write_whole(job.folder / (ORDER if isinstance(what, Order) else STATE), canonical(asdict(what)))


def secure(folder: Path) -> None:
    """Make a folder that only its owner can look into: what is trained on what is nobody else's business."""
    folder.mkdir(parents=True, mode=0o700)


def myself() -> Process:
    """The process that asks."""
    return Process.here(os.getpid())
