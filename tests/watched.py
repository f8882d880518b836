"""Run a command and watch what it takes: seconds, the memory of all its processes, and room on the disk at the worst moment."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAUSE = 0.1
"""Seconds between two looks: seldom enough that looking itself takes little of the machine."""


@dataclass(frozen=True)
class Cost:
    """What a command took; bytes for memory and disk."""

    wall: float
    cpu: float
    memory: int
    disk: int
    status: int
    said: str


def watched(*command: str, cwd: Path, folder: Path, **environment: str) -> Cost:
    """Run a command of this environment to its end; its home, its caches and its temporary files lie in `folder`, which is measured."""
    before, began = _size(folder), time.monotonic()
    memory: dict[int, int] = {}
    disk = 0
    with subprocess.Popen(
        command, cwd=cwd, env=at_home(folder, **environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        said = b""
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            said += process.stdout.read() or b""  # lest a full pipe stops it
            for each in _family(process.pid):
                memory[each] = max(memory.get(each, 0), _memory(each))
            disk = max(disk, _size(folder) + sum(map(_nameless, _family(process.pid))) - before)
            time.sleep(PAUSE)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        said += process.stdout.read() or b""
    use = ended[2]
    return Cost(wall, use.ru_utime + use.ru_stime, sum(memory.values()), disk, process.returncode, said.decode(errors="replace"))


def at_home(folder: Path, **environment: str) -> dict[str, str]:
    """The environment of a command that leaves everything it leaves in `folder`."""
    homes = {name: folder / name.lower() for name in ("HOME", "HF_HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for home in homes.values():
        home.mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **{name: str(home) for name, home in homes.items()}, **environment}


def _family(process: int) -> Iterator[int]:
    """A process and all that it started."""
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _memory(process: int) -> int:
    """The most that a process ever had, as the kernel keeps it."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _nameless(process: int) -> int:
    """Bytes of files on a disk that a process holds open and that no folder shows."""
    total = 0
    with suppress(OSError):
        for link in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if str(link.readlink()).startswith("/") and not (about := link.stat()).st_nlink:
                    total += about.st_blocks * 512
    return total


def _size(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk."""
    total = 0
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                total += (
                    _size(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_blocks * 512
                )
    return total
