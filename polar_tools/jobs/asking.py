"""How a job stands, by what lies on the disk; and that it is to end."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from polar_tools import processes
from polar_tools.errors import UserError
from polar_tools.jobs import progress, state
from polar_tools.jobs.state import Job, Process, Standing, State

GONE = "its process is gone without a word: killed, or with its machine; started again, it goes on where it can"
LONGEST_RESULT = 16_000_000
"""Bytes of output that are read as a result."""


@dataclass(frozen=True)
class Status:
    """How a job stands."""

    id: str
    tool: str
    arguments: dict[str, Any]
    state: State
    """`queued`, `running`, `done`, `failed`, `cancelled` by `cancel`, or `interrupted`: run me again (exit status 75, or gone unheard)."""
    exit_status: int | None = None
    """The tool's: 0 done, 2 what was asked for, 1 the world, 75 run me again; of one that a signal ended, its number, negative."""
    message: str | None = None
    """Why it isn't done."""
    created: str | None = None
    began: str | None = None
    ended: str | None = None
    """ISO 8601, UTC."""
    progress: dict[str, Any] = field(default_factory=dict)
    """`artifacts` with their states, how far the one is that is being made, and the last line of a training's metrics.jsonl."""
    artifacts: dict[str, str] = field(default_factory=dict)
    """What there is of what the job makes: the argument that named it, or `model`, and where it is."""
    result: Any = None
    """What the tool printed for programs."""
    log: str = ""
    """The file with all that it said."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def find(job: Job | str | Path, folder: str | Path | None = None) -> Job:
    """A job by itself, by its folder, or by its id among those of `folder`; raises UserError where there is none."""
    if isinstance(job, Job):
        return job
    if folder is not None and (os.sep in str(job) or str(job).startswith(".")):
        raise UserError(f"there is no job `{job}`")
    found = Job((Path(folder) / job if folder is not None else Path(job)).resolve())
    state.order(found)
    return found


def status(job: Job | str | Path, folder: str | Path | None = None) -> Status:
    """How a job stands, given as `find` takes it."""
    found = find(job, folder)
    order, standing = state.order(found), _seen(found)
    where = Path(order.cwd)
    return Status(
        id=found.id,
        tool=order.tool,
        arguments=order.arguments,
        state=standing.state,
        exit_status=standing.exit_status,
        message=standing.message,
        created=order.created,
        began=standing.began,
        ended=standing.ended,
        progress=progress.of(order.tool, order.arguments, where),
        artifacts=progress.artifacts(order.arguments, where),
        result=_result(found) if standing.ended else None,
        log=str(found.folder / state.LOG),
    )


def listed(folder: str | Path) -> list[Status]:
    """All jobs below `folder`, the oldest first."""
    there = sorted(Path(folder).resolve().glob(f"*/{state.STATE}"))
    return sorted((status(Job(file.parent)) for file in there), key=lambda one: (one.created or "", one.id))


def wait(job: Job | str | Path, folder: str | Path | None = None, *, seconds: float | None = None, pause: float = 0.2) -> Status:
    """The status of a job once it has ended, or after so many seconds."""
    found, until = find(job, folder), None if seconds is None else time.monotonic() + seconds
    while _seen(found).state in state.AT_WORK and (until is None or time.monotonic() < until):
        time.sleep(pause)
    return status(found)


def cancel(job: Job | str | Path, folder: str | Path | None = None) -> Status:
    """Have a job end: a training saves a checkpoint first, so that `again` goes on from there. A second time, it ends at once.

    Returns how it stands right afterwards; `wait` tells when it has ended. A job that has ended stays as it is. Raises UserError for
    one that runs on another machine.
    """
    found = find(job, folder)
    standing = _seen(found)
    if standing.state in state.AT_WORK:
        supervisor = standing.supervisor
        if supervisor is not None and supervisor.lives() is None:
            raise UserError(f"job {found.id} runs on {supervisor.host}; cancel it there")
        (found.folder / state.CANCELLED).touch()
        if supervisor is not None:
            _tell(supervisor)
    return status(found)


def _seen(job: Job) -> Standing:
    """What its supervisor wrote; where that is gone, and can't write any more, that it is."""
    standing = state.standing(job)
    if standing.is_gone():
        standing = state.standing(job)  # it may have written its last word in between
    return standing.but(state="interrupted", message=GONE) if standing.is_gone() else standing


def _tell(process: Process) -> None:
    """SIGTERM to this very process, and never to another that has its number by now."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except OSError:  # a kernel that is older than that call
        if process.lives():
            os.kill(process.pid, signal.SIGTERM)
        return
    try:
        if processes.born(process.pid) == process.born:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _result(job: Job) -> Any:
    """The JSON that the tool printed; None where it printed something else."""
    file = job.folder / state.OUTPUT
    if not file.is_file() or file.stat().st_size > LONGEST_RESULT:
        return None
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        return None
