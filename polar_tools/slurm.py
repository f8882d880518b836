"""What Snakemake's Slurm executor leaves open, so that a run comes through a night: `mend` puts it right in the process that submits.

Found with version 2.8 on a real cluster, each by a test in tests/slurm:

- While the controller restarts, the executor forgets every job that it asks about, or turns to `sacct`, and waits for ever.
- A job that was preempted or cancelled for good counts as running for ever (`PREEMPTED`; of sacct, `CANCELLED by 0`); so does one that
  Slurm forgot while nobody asked.
- What is submitted while the controller restarts counts as failed.
- Jobs of a Snakemake that was killed live on, and the next one would submit the same work beside them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXECUTOR = "snakemake_executor_plugin_slurm"
PASSING = ("PREEMPTED", "NODE_FAIL")
"""States in which a job stands for a moment while Slurm queues it again. What stands in them longer has ended."""
GONE = 2
"""After how many looks in a row a job is what it seems to be."""
PATIENCE, PAUSE = 3600.0, 5.0
"""Seconds for which a submission waits for the controller, and between two looks."""

Statuses = dict[str, str]
Ask = Callable[[str, Any], Awaitable[tuple[Statuses | None, float | None]]]


def mend() -> None:
    """Put this process's executor right, where it is one for Slurm. What was put right already stays as it is."""
    plugin: Any = sys.modules.get(EXECUTOR)
    if plugin is None or isinstance(plugin.query_job_status, Watch):
        return
    plugin.query_job_status = Watch(plugin.query_job_status)
    plugin.get_min_job_age = _Remembered(plugin.get_min_job_age)
    plugin.get_submit_command = Submissions(plugin.get_submit_command)
    plugin.get_max_array_size = _Present(plugin.get_max_array_size, plugin.WorkflowError)


@dataclass
class Watch:
    """Asks Slurm for the states of this run's jobs, and answers in words that the executor understands."""

    ask: Ask
    looks: dict[str, int] = field(default_factory=dict)
    """Job -> how often in a row it was seen in a passing state, or not at all."""
    running: set[str] = field(default_factory=set)
    """Jobs that were there at the last look, and had not ended."""
    failed: set[str] = field(default_factory=set)
    away: bool = False

    async def __call__(self, command: str, logger: Any) -> tuple[Statuses, float]:
        """Job -> state, and how long it took to ask; no job at all while nobody answers, for then all go on."""
        told, seconds = await self.ask(command, logger)
        if told is None or seconds is None:
            if not self.away:
                logger.warning("Slurm doesn't answer. Its jobs go on; what became of them is asked again and again.")
            self.away = True
            return {}, 0.0
        self.away = False
        states = self.understood({job: state.split()[0] for job, state in told.items() if state})
        for job in sorted(self._unseen(states)):
            logger.error(job)
        return states, seconds

    def _unseen(self, states: Statuses) -> Iterator[str]:
        """What to say of jobs that failed without a word: their node had nowhere to write it."""
        for job in [job for job, state in states.items() if state == "FAILED" and job not in self.failed]:
            self.failed.add(job)
            told = dict(word.partition("=")[::2] for word in _said("scontrol", "show", "job", "--oneliner", job).split())
            if "StdOut" in told and not Path(told["StdOut"]).is_file():
                yield (
                    f"Slurm job {job} ended on {told.get('NodeList')} and left no log: does that node see this folder? Look with `srun "
                    f"--nodelist={told.get('NodeList')} ls {told.get('WorkDir')}`; the project must lie on a file system that nodes share"
                )

    def understood(self, states: Statuses) -> Statuses:
        """Job -> state as the executor should take it."""
        doubtful = {job for job, state in states.items() if state in PASSING} | (self.running - states.keys())
        self.looks = {job: self.looks.get(job, 0) + 1 for job in doubtful}
        self.running = {job for job, state in states.items() if state in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", *PASSING)}
        self.running |= {job for job in doubtful if self.looks[job] < GONE}
        return states | {job: self._doubted(job, states) for job in doubtful}

    def _doubted(self, job: str, states: Statuses) -> str:
        if self.looks[job] < GONE:
            return "REQUEUED"  # nothing that the executor knows, so it waits
        return "CANCELLED" if job in states else "UNKNOWN"  # where nobody knows, the manifest tells


@dataclass
class _Present:
    """What the executor asks first of all; where there is no Slurm, the answer is what to do."""

    ask: Callable[[], int]
    error: type[Exception]

    def __call__(self) -> int:
        if shutil.which("sbatch") is None:
            raise self.error(
                "there is no Slurm here (sbatch is not found): run this on a login node of your cluster, or without --profile slurm"
            )
        return self.ask()


@dataclass
class _Remembered:
    """What Slurm's configuration said when it was last asked with success: the controller may be away for a while."""

    ask: Callable[[], int | None]
    known: int | None = None

    def __call__(self) -> int | None:
        found = self.ask()
        self.known = self.known if found is None else found
        return self.known


@dataclass
class Submissions:
    """Puts together how a job is submitted: once the controller is there, and behind the job of an earlier run that does the same work."""

    command: Callable[..., str]
    orphans: dict[str, list[str]] | None = None
    """What a job is for, as its comment says -> jobs of an earlier run."""

    def __call__(self, job: Any, params: dict[str, Any], *more: Any, **settings: Any) -> str:
        """The command that submits a job."""
        wait_for_controller()
        if self.orphans is None:
            self.orphans = orphans(Path(params["workdir"]), params["run_uuid"])
        command = self.command(job, params, *more, **settings)
        before = self.orphans.get(params["comment_str"], [])
        if not before:
            return command
        print(
            f"{params['comment_str']}: Slurm job {', '.join(before)} of an earlier run is still there. What is submitted now begins when "
            f"that has ended, and takes over what it made (`scancel {' '.join(before)}` ends it at once, and it saves first)",
            file=sys.stderr,
            flush=True,
        )
        return f"{command} --dependency=afterany:{':'.join(before)}"


def wait_for_controller() -> None:
    """Come back once Slurm's controller answers; also where there is no Slurm, or it was away for so long that asking it should fail."""
    began = time.monotonic()
    while shutil.which("scontrol") is not None and "UP" not in _said("scontrol", "ping") and time.monotonic() - began < PATIENCE:
        if time.monotonic() - began < PAUSE:
            print(
                f"Slurm's controller doesn't answer (scontrol ping). Waiting for it, {PATIENCE / 60:.0f} minutes at most",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(PAUSE)


def orphans(folder: Path, run: str) -> dict[str, list[str]]:
    """Jobs of whoever asks that were submitted from `folder` by other runs than `run` and have not ended: comment -> job numbers."""
    found: dict[str, list[str]] = {}
    for line in _said("squeue", "--me", "--noheader", "--format=%A|%j|%Z|%k").splitlines():
        number, name, origin, comment = line.split("|", 3)
        if name != run and Path(origin).resolve() == folder.resolve():
            found.setdefault(comment, []).append(number)
    return {comment: sorted(numbers, key=int) for comment, numbers in found.items()}


def _said(*command: str) -> str:
    """What one of Slurm's commands prints; nothing where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
