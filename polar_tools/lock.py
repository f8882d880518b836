"""One writer at a time: a file in an artifact's folder says whose it is, and a heartbeat in it that the owner is still there.

A job that its scheduler lost may go on writing on another machine. So the file is made in one step (O_EXCL, which holds on NFS), and
whether its owner lives is seen by the content changing, by the clock of whoever looks: neither flock nor file times can be trusted
between machines. On the owner's own machine its process tells.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polar_tools import processes
from polar_tools.errors import UnfinishedError

NAME = ".lock"
"""The file; names that begin so are the lock's too."""
BEAT, SILENCE = 5.0, 60.0
"""Seconds between two heartbeats, and after how many without one an owner on another machine counts as gone."""
LOOK = 0.2
WAIT_VARIABLE = "POLAR_WAIT_SECONDS"
"""How long to wait for another's work to end before giving up; by default not at all."""


@dataclass
class Owner:
    """Who holds a lock."""

    token: str
    host: str
    machine: str
    """The machine since it was started, and the processes that see each other there: only among these does a number mean a process."""
    pid: int
    born: str
    """When the process began, in the kernel's ticks: its number may be another's one day."""
    job: str | None
    """Of Slurm."""
    since: str
    beat: int = 0

    def as_bytes(self) -> bytes:
        """The content of the file: as long at each beat, so that it is written in place."""
        return json.dumps({**asdict(self), "beat": f"{self.beat:012d}"}).encode()

    def __str__(self) -> str:
        job = f", Slurm job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since}"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` while this lasts. Raises UnfinishedError, which names the owner, where somebody else works there."""
    file, owner = folder / NAME, _myself()
    _take(file, owner)
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(file, owner, ended), name="polar-lock", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        if os.getpid() == owner.pid and _is(_read(file), owner):
            file.unlink(missing_ok=True)


def holder(folder: Path) -> tuple[Owner, bool] | None:
    """Who holds the lock of `folder`, and whether that process is there; of another machine's, whether it gave a sign of life lately.

    None where nobody holds it. That is to be told to people; who wants to write there takes the lock.
    """
    content = _read(folder / NAME)
    owner = None if content is None else _owner(content)
    if owner is None:
        return None
    alive = _lives(owner, _myself())
    if alive is None:
        with suppress(FileNotFoundError):
            alive = time.time() - (folder / NAME).stat().st_mtime < SILENCE
    return owner, bool(alive)


def _take(file: Path, owner: Owner) -> None:
    """Make the file, once nobody else holds it."""
    patience = time.monotonic() + float(os.environ.get(WAIT_VARIABLE, 0))
    last: bytes | None = None
    since = 0.0
    while not _made(file, owner):
        seen = _read(file)
        if seen is None:
            continue  # released just now
        other = _owner(seen)
        alive = _lives(other, owner)
        moved, last = last is not None and seen != last, seen
        since = time.monotonic() if moved or not since else since
        if alive is False or (alive is None and time.monotonic() - since > SILENCE):
            print(f"{file.parent}: taking over from {other or 'an unknown owner'}, who is gone", flush=True)
            _take_away(file, seen)
        elif (alive or moved) and time.monotonic() >= patience:
            raise UnfinishedError(
                f"{file.parent} is being worked on by {other}. Two can't write to one folder: wait for it or end it, then run the same "
                f"command again ({WAIT_VARIABLE}=600 waits so many seconds by itself)"
            )
        else:
            time.sleep(LOOK)


def _made(file: Path, owner: Owner) -> bool:
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as output:
        output.write(owner.as_bytes())
    return True


def _take_away(file: Path, dead: bytes) -> None:
    """Remove a lock that was seen to be dead; one that another put in its place in the meantime is given back."""
    taken = file.with_name(f"{NAME}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # another was faster
        file.rename(taken)
        if taken.read_bytes() != dead:
            with suppress(FileExistsError):
                os.link(taken, file)
        taken.unlink()


def _beat(file: Path, owner: Owner, ended: threading.Event) -> None:
    """Show again and again that the owner is there. One that lost its lock, as after a long sleep, ends before it writes any more."""
    while not ended.wait(BEAT):
        owner.beat += 1
        with suppress(OSError):  # a disk that is away for a moment is no reason to end
            seen = _read(file)
            if seen is None:
                _made(file, owner)
            elif _is(seen, owner):
                with file.open("r+b") as output:
                    output.write(owner.as_bytes())
            elif _owner(seen) is not None:
                os.write(2, f"error: {file.parent} was taken over by {_owner(seen)}; this process ends so that two don't write\n".encode())
                os._exit(UnfinishedError.exit_status)


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _owner(content: bytes) -> Owner | None:
    """Who wrote it; None while it is being written, or where it is something else."""
    try:
        told: dict[str, Any] = json.loads(content)
        return Owner(**{**told, "beat": int(told["beat"])})
    except (ValueError, TypeError, KeyError):
        return None


def _is(content: bytes | None, owner: Owner) -> bool:
    there = None if content is None else _owner(content)
    return there is not None and there.token == owner.token


def _lives(other: Owner | None, me: Owner) -> bool | None:
    """Whether the owner of a lock is there; None where this machine can't tell."""
    if other is None or other.machine != me.machine:
        return None
    return processes.born(other.pid) == other.born


def _myself() -> Owner:
    import socket

    since = datetime.now(UTC).isoformat(timespec="seconds")
    job, pid = os.environ.get("SLURM_JOB_ID"), os.getpid()
    return Owner(uuid.uuid4().hex, socket.gethostname(), processes.machine(), pid, processes.born(pid) or "", job, since)
