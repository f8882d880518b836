"""Being told to stop before the work is done: by a scheduler that wants the machine back, or by a person.

SIGTERM and SIGUSR1 (what `sbatch --signal` sends ahead of the end) mean the same. Where nothing can be saved the process ends at once;
a training first finishes its step and saves. Either way the status is 75: the same command goes on. So it is with Ctrl-C where something
can be saved; where nothing can, that ends the process as Python does.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from polar_tools.errors import UnfinishedError

ASKING = (signal.SIGTERM, signal.SIGUSR1)
ONE_WISH = 2.0
"""Seconds within which a second signal is the same wish: a scheduler and the launcher of several processes may both hand it on."""
GRACE_VARIABLE, GRACE = "POLAR_GRACE_SECONDS", 25.0
"""How long after the first signal a training may still be busy with what is no step, such as an evaluation. Slurm kills after 30."""


@dataclass
class _Wish:
    """What this process was told, as signals are: once for all of it."""

    by: str | None = None
    since: float = 0.0
    patient: bool = False
    process: int = 0


_wish = _Wish()


class Stopped(SystemExit):
    """Ends the process from wherever it is; no `except Exception` of a library keeps it."""


def asked() -> str | None:
    """The signal that told this process to stop, or None."""
    return _wish.by


def out_of_time() -> bool:
    """Whether it was told so long ago that it may be killed any moment."""
    return _wish.by is not None and time.monotonic() - _wish.since > float(os.environ.get(GRACE_VARIABLE, GRACE))


@contextmanager
def listening() -> Iterator[None]:
    """While this lasts, a signal ends the work with status 75. Only the main thread can listen; in others nothing changes."""
    if threading.current_thread() is not threading.main_thread() or _wish.process == os.getpid():
        yield
        return
    _wish.by, _wish.patient, _wish.process = None, False, os.getpid()
    handlers: dict[signal.Signals, Any] = dict.fromkeys(ASKING, _told)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not what runs in the background of a script
        handlers[signal.SIGINT] = _interrupted
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _wish.by, _wish.process = None, 0


@contextmanager
def saving_first() -> Iterator[None]:
    """While this lasts, whoever works looks at `asked` and ends by itself, after what must not be lost is saved."""
    _wish.patient = True
    try:
        yield
    finally:
        _wish.patient = False


def _told(number: int, frame: Any) -> None:
    name = signal.Signals(number).name
    if os.getpid() != _wish.process:  # a child that was forked has nothing to save, and no say in it
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif _wish.by is None:
        _wish.by, _wish.since = name, time.monotonic()
        if not _wish.patient:
            _say(f"error: stopped by {name}; nothing unfinished counts as done: run the same command again to go on")
            raise Stopped(UnfinishedError.exit_status)
        _say(f"{name}: finishing this step, then saving")
    elif time.monotonic() - _wish.since > ONE_WISH:
        _say(f"error: {name} again: ending at once; run the same command again to go on from the last checkpoint")
        os._exit(UnfinishedError.exit_status)


def _interrupted(number: int, frame: Any) -> None:
    """Ctrl-C, which children that were forked hear too: what becomes of them, this process decides."""
    if not _wish.patient:
        signal.default_int_handler(number, frame)
    elif os.getpid() == _wish.process:
        _told(number, frame)


def _say(text: str) -> None:
    """To stderr, past its buffers: a signal may come while they are being written."""
    os.write(2, f"{text}\n".encode())
