"""How a process of a training ends with the one that started it, and what it leaves for that one to read."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from polar_tools.errors import PolarError, UnfinishedError, first_line

FOLDER = ".ranks"
"""Within a training's folder, while it lasts: what each process says at its end, and what it printed."""
ENDED = "torchrun"
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""Signals that the tool passes on to the processes, which know best when to stop."""
LAUNCHER = "POLAR_LAUNCHER"
"""The environment's name for the process that must live."""
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent is gone, however that ends; nobody else would."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        os.kill(int(os.environ[LAUNCHER]), 0)  # it may be gone already
    except ProcessLookupError:
        os._exit(1)


def be_known(folder: Path, rank: int) -> None:
    """Leave word of where signals for process `rank` are to go."""
    temporary = folder / f"{rank}.pid.tmp"
    temporary.write_text(str(os.getpid()), encoding="utf-8")
    temporary.replace(folder / f"{rank}.pid")


def say(folder: Path, rank: int, outcome: dict[str, Any]) -> None:
    """Leave what became of process `rank`: whole or not at all."""
    file = folder / f"{rank}.json"
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps({"time": time.time(), **outcome}), encoding="utf-8")
    temporary.replace(file)


def said(folder: Path) -> dict[int, dict[str, Any]]:
    """What the processes left, by rank."""
    return {int(file.stem): json.loads(file.read_bytes()) for file in sorted(folder.glob("*.json"))}


def say_ended(folder: Path, statuses: dict[int, int]) -> None:
    """Leave with which status processes ended, which only torchrun knows; below 0 it is a signal."""
    (folder / ENDED).write_text(json.dumps(statuses), encoding="utf-8")


def ended(folder: Path) -> dict[int, int]:
    """Process -> the status with which it failed, as far as torchrun said so."""
    file = folder / ENDED
    return {int(rank): status for rank, status in json.loads(file.read_bytes()).items()} if file.is_file() else {}


def told(error: BaseException) -> dict[str, Any]:
    """An error as a process leaves it: what is meant for people as it is, of all else the traceback too."""
    if isinstance(error, PolarError):
        return {"status": error.exit_status, "message": str(error)}
    if isinstance(error, KeyboardInterrupt):
        return {"interrupted": True}
    if isinstance(error, SystemExit) and error.code == UnfinishedError.exit_status:
        return {"status": error.code, "message": "stopped by a signal; run the same command again"}
    known = first_line(error) if isinstance(error, Exception) else str(error)
    return {"message": f"{type(error).__name__}: {known}", "traceback": "".join(traceback.format_exception(error))}
