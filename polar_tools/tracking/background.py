"""Start the process that sends what a stage writes, and wait for it no longer than is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from polar_tools import secrets, tracker_config
from polar_tools.errors import first_line
from polar_tools.tracking import runs, sending

LIVE = ("train",)
"""Stages that are sent while they work; the others have nothing to tell before they are done."""
AFTER_FAILURE = 5.0
"""Seconds that the end may wait where the work failed or was told to stop."""


@contextmanager
def watched(folder: Path, stage: str) -> Iterator[Callable[[], None]]:
    """While this lasts, what is made in `folder` is sent to the trackers of the project, from the call of what this yields on.

    Whatever goes wrong with that is said, and ends nothing else.
    """
    follower = _Follower(folder, stage)
    try:
        yield lambda: follower.start() if stage in LIVE else None
    except BaseException:
        follower.end(AFTER_FAILURE)
        raise
    if follower.is_needed():
        follower.start()
    follower.end(follower.patience)


class _Follower:
    def __init__(self, folder: Path, stage: str) -> None:
        self.folder = folder
        self.settings: tracker_config.Settings | None = None
        self.process: subprocess.Popen[bytes] | None = None
        with _only_said(folder):
            self.settings = tracker_config.read(Path()) if stage in runs.TRACKED else None

    @property
    def patience(self) -> float:
        """Seconds that the end may wait."""
        return max((one.seconds() for one in self.settings.trackers), default=0.0) if self.settings else 0.0

    def is_needed(self) -> bool:
        """Whether anything of the finished artifact is missing anywhere."""
        if self.settings is None:
            return False
        path, project = self.folder.as_posix(), self.settings.project_name
        with _only_said(self.folder):
            return not all(sending.Sender(Path(), path, project, one).is_complete for one in self.settings.trackers)
        return False

    def start(self) -> None:
        """A process that outlives nobody: it ends by itself after this one does, however that is."""
        if self.process is None and self.settings is not None:
            command = [sys.executable, "-m", "polar_tools.tracking.follower", self.folder.as_posix(), str(os.getpid())]
            env = {**os.environ, "PYTHONSAFEPATH": "1"}
            with _only_said(self.folder):
                self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)

    def end(self, seconds: float) -> None:
        """Tell it that the work is over, and wait for it so long; then what it couldn't send is left for later."""
        if self.process is None or self.process.stdin is None:
            return
        with suppress(OSError):  # it is gone already
            self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            later = f"`polar-tools track --replay {self.folder}` sends the rest"
            print(f"warning: trackers did not take everything within {seconds:.0f} s; {later}", file=sys.stderr, flush=True)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def _only_said(folder: Path) -> Iterator[None]:
    """What fails within is said."""
    try:
        yield
    except Exception as error:
        text = secrets.redacted(f"{type(error).__name__}: {first_line(error)}")
        print(f"warning: trackers are told nothing now ({text}); see `polar-tools track --replay {folder}`", file=sys.stderr, flush=True)
