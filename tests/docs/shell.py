"""A shell as a reader has it open: what one line sets, or starts, or changes into, is so for the next."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

PATIENCE = 900.0
"""Seconds after which a line won't end any more."""
WATCHED = 20
"""Seconds after which a reader presses Ctrl-C in what would go on for ever."""


class Done(NamedTuple):
    """A line's exit status, and all that it printed."""

    status: int
    said: str


class Shell:
    """One bash; its lines get no answer to what they ask."""

    def __init__(self, process: subprocess.Popen[str], said: Path) -> None:
        self._process, self._said = process, said

    def type(self, line: str, endless: bool = False) -> Done:
        """What becomes of a line; of one that is `endless`, when it is interrupted."""
        typed = f"timeout --preserve-status --signal=INT {WATCHED} {line}" if endless else line
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{{ {typed}\n}} > '{self._said}' 2>&1 < /dev/null\necho $?\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        told = self._process.stdout.readline() if ready else ""
        said = self._said.read_text(encoding="utf-8", errors="replace")
        assert told.strip(), f"`{line}` hasn't ended, or was no line of a shell\n{said}"
        return Done(int(told), said)


@contextmanager
def opened(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in `folder`, in which this environment's programs are found; with it ends what it left behind."""
    path = os.pathsep.join([str(Path(__file__).parent / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", **environment}
    words = ["bash", "--noprofile", "--norc", "-o", "pipefail"]
    with tempfile.NamedTemporaryFile() as said:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
        process = subprocess.Popen(words, cwd=folder, env=env, **pipes)  # type: ignore[call-overload]
        try:
            yield Shell(process, Path(said.name))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
