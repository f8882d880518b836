"""The process that looks after one job: `python -m polar_tools.jobs.supervisor FOLDER`. It starts the tool, and writes down how that ends.

SIGTERM to it is handed on to the tool, which saves what it can and ends. Were it killed itself, the kernel would tell the tool to stop.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from polar_tools import secrets
from polar_tools.errors import UnfinishedError, UserError
from polar_tools.jobs import messages, state
from polar_tools.jobs.state import Job, Standing

LOOK = 0.2
"""Seconds between two looks whether it is this job's turn."""
PR_SET_PDEATHSIG = 1


class Supervisor:
    """Looks after a job from its place in the queue to its end."""

    def __init__(self, job: Job) -> None:
        self.job, self.order = job, state.order(job)
        self.child: subprocess.Popen[bytes] | None = None
        self.told_to_stop = False

    def run(self, begun: int) -> None:
        """All of it; a byte goes to `begun` as soon as there is a state on the disk that names this process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        log = self.job.folder / state.LOG
        standing = Standing("queued", state.myself(), log_from=log.stat().st_size if log.is_file() else 0)
        state.write(self.job, standing)
        os.write(begun, b"1")
        os.close(begun)
        self.told_to_stop |= (self.job.folder / state.CANCELLED).exists()
        try:
            with self._turn() as mine:
                standing = standing.but(state="running", began=state.now())
                status = self._work(standing) if mine and not self.told_to_stop else UnfinishedError.exit_status
            state.write(self.job, self._ended(standing, status))
        except Exception as error:
            state.write(self.job, standing.but(state="failed", message=secrets.redacted(str(error)), ended=state.now()))
            raise

    def _work(self, standing: Standing) -> int:
        """Start the tool and wait for it; its exit status, or the signal that ended it as a negative number."""
        command = [sys.executable, "-P", "-m", "polar_tools", *self.order.words]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        with (self.job.folder / state.OUTPUT).open("wb") as output, (self.job.folder / state.LOG).open("ab") as log:
            self.child = subprocess.Popen(
                command,
                cwd=self.order.cwd,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                process_group=0,
                preexec_fn=_end_with_me,
            )
        state.write(self.job, standing)
        if self.told_to_stop:
            self._hand_on()
        return self.child.wait()

    def _ended(self, standing: Standing, status: int) -> Standing:
        """How it stands when the tool has ended so."""
        cancelled = (self.job.folder / state.CANCELLED).exists()
        said = messages.last(self.job.folder / state.LOG, standing.log_from) if status else None
        if status == 0:
            found: state.State = "done"
        elif cancelled:
            found = "cancelled"
        else:
            found = "interrupted" if status == UnfinishedError.exit_status else "failed"
        if status < 0 and not cancelled:
            said = f"killed by {signal.Signals(-status).name}, perhaps for want of memory; started again, it goes on where it can"
        return standing.but(state=found, exit_status=status, message=said and secrets.redacted(said), ended=state.now())

    def _stop(self, *_: Any) -> None:
        self.told_to_stop = True
        self._hand_on()

    def _hand_on(self) -> None:
        if self.child is not None and self.child.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGTERM)

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Wait until this job may run, and hold its place while it does; False where it is told to stop before."""
        slots = self.job.folder.parent / state.SLOTS
        held: TextIO | None = None
        if self.order.at_once is not None:
            slots.mkdir(exist_ok=True)
            while not self.told_to_stop and held is None:
                held = self._place(slots, self.order.at_once)
                if held is None:
                    time.sleep(LOOK)
        try:
            yield held is not None or self.order.at_once is None
        finally:
            if held is not None:
                held.close()

    def _place(self, slots: Path, many: int) -> TextIO | None:
        """One of so many places, locked; None where all are taken, or an older job waits too."""
        if any(self._is_before(other) for other in sorted(self.job.folder.parent.iterdir()) if other != self.job.folder):
            return None
        for number in range(many):
            file = (slots / str(number)).open("w")
            if _locked(file):
                return file
            file.close()
        return None

    def _is_before(self, folder: Path) -> bool:
        """Whether the job in `folder` waits for a place too, and was asked for earlier."""
        try:
            standing, order = state.standing(Job(folder)), state.order(Job(folder))
        except UserError:  # something else, or a job whose folder is being made or removed
            return False
        waits = standing.state == "queued" and order.at_once is not None
        return waits and standing.supervisor is not None and bool(standing.supervisor.lives()) and order.created < self.order.created


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_with_me() -> None:
    """In the tool's process, before it is the tool: be told to stop when the supervisor is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(folder: Path) -> None:
    """Become nobody's child, and look after the job in `folder`; returns in the process that was started once that has begun."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who started this may ignore it, and then no exit status would ever be known
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    seen, begun = os.pipe()
    if os.fork():
        os.close(begun)
        os._exit(0 if os.read(seen, 1) else 1)
    os.close(seen)
    os.setsid()
    with (folder / state.ATTEMPT).open("w") as attempt:
        if not _locked(attempt):
            sys.exit("it is at work already")
        log = os.open(folder / state.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        Supervisor(Job(folder)).run(begun)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
