"""Run a command and note when it says what: wall seconds, CPU seconds and memory of all its processes."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PAUSE = 0.2
"""Seconds between two looks at the memory."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Moment:
    """Seconds since the command was given."""

    wall: float
    cpu: float


@dataclass
class Timeline:
    """What a command took; `memory` is the most bytes that all its processes had at a time, shared pages counted once."""

    steps: list[Moment] = field(default_factory=list)
    """When each step was said to be done."""
    end: Moment = Moment(0, 0)
    memory: int = 0
    status: int = 0
    said: str = ""


def run(command: Sequence[str], step: str, cwd: Path, environment: Mapping[str, str]) -> Timeline:
    """Run `command` in `cwd` to its end; a line in which the pattern `step` is found says that a step is done."""
    pattern, found, began = re.compile(step), Timeline(), time.monotonic()
    kept: dict[int, float] = {}
    with subprocess.Popen(
        command, cwd=cwd, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        pipe, line, looked = process.stdout.fileno(), "", 0.0
        while True:
            ready = select.select([pipe], [], [], PAUSE)[0]
            if ready and not (said := os.read(pipe, 65536)):
                break
            if ready:
                text = said.decode(errors="replace")
                found.said += text
                *whole, line = re.split(r"[\r\n]", line + text)
                for _ in filter(pattern.search, whole):
                    found.steps.append(Moment(time.monotonic() - began, _cpu(process.pid, kept)))
            if time.monotonic() - looked > PAUSE:
                found.memory, looked = max(found.memory, sum(map(_memory, family(process.pid)))), time.monotonic()
                _cpu(process.pid, kept)
        _, status, use = os.wait4(process.pid, 0)
        process.returncode = found.status = os.waitstatus_to_exitcode(status)
    found.end = Moment(time.monotonic() - began, use.ru_utime + use.ru_stime)
    return found


def family(process: int) -> Iterator[int]:
    """A process and all that it started."""
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def _cpu(process: int, kept: dict[int, float]) -> float:
    """CPU seconds of a process and of all that it started; `kept` remembers those that are gone."""
    for each in family(process):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            kept[each] = sum(map(int, fields[11:13])) / TICKS
    return sum(kept.values())


def _memory(process: int) -> int:
    """Bytes of a process now; what it shares with others is divided among them."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
