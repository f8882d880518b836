"""Start a job: check what is asked for, write it down, and leave it to a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polar_tools import secrets
from polar_tools.errors import UserError, WorldError
from polar_tools.jobs import asking, state
from polar_tools.jobs.state import Job, Order, Standing

SUPERVISOR = "polar_tools.jobs.supervisor"
STARTING = ".starting"
"""Locked by whoever starts a job again, so that two who do so at once don't start it twice."""
JSON = "json"
"""The argument by which a tool prints its outcome for programs."""


def start(
    tool: str,
    arguments: Mapping[str, Any],
    folder: str | Path,
    *,
    cwd: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    at_once: int | None = None,
) -> Job:
    """Start a tool in a process of its own, and return as soon as that is there.

    `arguments` are by the names that `polar-tools schema TOOL` has. What is kept of the job lies in a new folder below `folder`. The tool
    runs in `cwd` (the working directory), and paths are below that. `environment` is added to this process's: the place for tokens, which
    are written nowhere. Of the jobs of `folder` that are given `at_once`, so many run at a time; the others wait, the oldest first.

    Raises UserError, with a readable message, for what the tool would refuse before it looks at the machine, and for secrets among the
    arguments; WorldError where no process can be started.
    """
    from polar_tools import arguments as known

    if at_once is not None and at_once < 1:
        raise UserError(f"at_once must be at least 1, but it is {at_once}")
    home = Path.cwd() if cwd is None else Path(cwd).resolve()
    if not home.is_dir():
        raise UserError(f"there is no folder {home} to work in")
    given = dict(arguments)
    _refuse_secrets(given, environment or {})
    words = known.words(tool, {JSON: True, **given} if _prints_json(tool, given) else given)
    job = Job(Path(folder).resolve() / f"{tool}-{uuid.uuid4().hex[:12]}")
    state.secure(job.folder)
    state.write(job, Order(tool, given, words, str(home), at_once, state.now()))
    _supervise(job, environment or {})
    return job


def again(job: Job | str | Path, *, environment: Mapping[str, str] | None = None) -> Job:
    """Start a job that has ended once more: the same tool with the same arguments, which goes on where it can.

    `environment` isn't remembered. Raises UserError where the job is still at work.
    """
    there = asking.find(job)
    with (there.folder / STARTING).open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        found = asking.status(there)
        if found.state in state.AT_WORK:
            raise UserError(f"job {found.id} is {found.state}; cancel it first, and wait for it")
        _supervise(there, environment or {})
    return there


def _supervise(job: Job, environment: Mapping[str, str]) -> None:
    """Start the process that looks after a job; it is nobody's child when this returns, so that it leaves no remains behind."""
    (job.folder / state.CANCELLED).unlink(missing_ok=True)
    state.write(job, Standing("queued", starter=state.myself()))
    begun = subprocess.run(
        [sys.executable, "-P", "-m", SUPERVISOR, str(job.folder)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        check=False,
    )
    if begun.returncode:
        said = secrets.redacted(begun.stderr.strip().splitlines()[-1] if begun.stderr.strip() else f"status {begun.returncode}")
        state.write(job, Standing("failed", message=f"it couldn't be started: {said}", ended=state.now()))
        raise WorldError(f"job {job.id} couldn't be started: {said}")


def _names_secret(word: Any) -> bool:
    """Whether a word of another program's command line is an option that a secret goes with."""
    name = str(word).partition("=")[0]
    return name.startswith("--") and secrets.FIELD.search(name.lstrip("-").replace("-", "_")) is not None


def _prints_json(tool: str, given: Mapping[str, Any]) -> bool:
    """Whether a tool can print its outcome as JSON, beside these arguments."""
    from polar_tools import arguments as known
    from polar_tools import tools

    return tool in known.names() and "spec" not in given and JSON in known.taken(tools.load(tool).params)


def _refuse_secrets(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Raise UserError where arguments, which are written down and stand in the list of processes, hold a secret."""
    named = [place for place, _ in secrets.fields(arguments)]
    named += [word for value in arguments.values() if isinstance(value, list) for word in value if _names_secret(word)]
    text = json.dumps(arguments, ensure_ascii=False, default=str)
    known = [value for name, value in environment.items() if name in secrets.VARIABLES or secrets.VARIABLE.search(name)]
    if not named and (secrets.redacted(text) != text or any(len(value) >= secrets.SHORTEST and value in text for value in known)):
        named = ["one of them"]
    if named:
        raise UserError(
            f"{', '.join(named)}: a secret among the arguments would be written down and shown in the list of processes; it goes into the "
            "environment (HF_TOKEN, AWS_SECRET_ACCESS_KEY, WANDB_API_KEY, ...)"
        )
