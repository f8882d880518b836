"""The process beside a training that sends what the training writes: it reads files, and nothing waits for it but the end, for a while.

It is told where, and whose processes to look at; that the training is over, or gone, it hears from its standard input being closed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from polar_tools import tracker_config
from polar_tools.errors import UnfinishedError
from polar_tools.trackers.base import NOTES, Options
from polar_tools.tracking import sending, usage

LOOK, PATIENCE = 2.0, 300.0
"""Seconds from one look at the files to the next, and the longest pause after a tracker was not there."""
POLITE = 5
"""What is done for the training comes first."""


def main(path: str, process: int) -> None:
    """Follow the artifact at `path` until standard input ends, then send what is only known then."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # meant for the training; this process ends with it
    os.nice(POLITE)
    ended = threading.Event()
    threading.Thread(target=_listen, args=(ended,), daemon=True).start()
    settings = tracker_config.read(Path())
    if settings is None:
        return
    (Path(path) / NOTES).mkdir(exist_ok=True)
    senders = [
        threading.Thread(target=_serve, args=(path, settings.project_name, options, ended), daemon=True) for options in settings.trackers
    ]
    for sender in senders:
        sender.start()
    _look_on(Path(path), process, ended)
    for sender in senders:
        sender.join()


def _listen(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


def _look_on(folder: Path, process: int, ended: threading.Event) -> None:
    """Note what is used until it is over; of what is made already there is nothing to see."""
    if ended.wait(0.5):
        return
    sampler = usage.Sampler(folder, process)
    while not ended.wait(1.0):
        with suppress(OSError):  # a disk that is full or away is the training's worry
            sampler.look()


def _serve(path: str, project: str, options: Options, ended: threading.Event) -> None:
    """Send to one tracker, again and again; one that isn't there is tried more and more seldom, and once more at the end."""
    sender: sending.Sender | None = None
    pause, warned = LOOK, False
    while True:
        over = ended.wait(pause)
        try:
            sender = sender or sending.Sender(Path(), path, project, options)
            sender.send(over)
            pause = LOOK
        except Exception as error:
            if sender is not None:
                sender.drop()
            if not warned and not isinstance(error, UnfinishedError):
                print(f"warning: {said(options, error, path)}", file=sys.stderr, flush=True)
            warned, pause = True, min(2 * max(pause, LOOK), PATIENCE)
        if over:
            return


def said(options: Options, error: Exception, path: str) -> str:
    """What to read of a tracker that isn't there."""
    return f"{sending.why(options, error)}; nothing waits for it: `polar-tools track --replay {path}` sends later what it missed"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    os._exit(0)  # whatever a library's threads still wait for
