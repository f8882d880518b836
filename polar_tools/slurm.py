"""What Snakemake's Slurm executor leaves open, so that a run comes through a night: `mend` puts it right in the process that submits.

Found with version 2.8 on a real cluster, each by a test in tests/slurm:

- While the controller restarts, the executor forgets every job that it asks about, or turns to `sacct`, and waits for ever.
- A job that was preempted or cancelled for good counts as running for ever (`PREEMPTED`; of sacct, `CANCELLED by 0`); so does one that
  Slurm forgot while nobody asked.
- What is submitted while the controller restarts counts as failed.
- Jobs of a Snakemake that was killed live on, and the next one would submit the same work beside them.
- After the end of a long job up to three minutes pass before the next is submitted.
- What Slurm refuses for good, and what a tool refuses for a mistake in the config, is submitted again and again.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polar_tools import refusals

EXECUTOR = "snakemake_executor_plugin_slurm"
PASSING = ("PREEMPTED", "NODE_FAIL")
"""States in which a job stands for a moment while Slurm queues it again. What stands in them longer has ended."""
CALM = 6
"""How many times its first pause Snakemake waits at most before it looks again; the executor would go up to three minutes."""
GONE = 2
"""After how many looks in a row a job is what it seems to be."""
ANSWER = 120.0
"""Seconds within which one of Slurm's commands answers, if at all."""
RESOURCES = "under run.resources in the config, or in the profile's default-resources"
IN_VAIN = {
    "invalid partition": f"Set `slurm_partition` {RESOURCES}; `sinfo --summarize` lists what there is",
    "invalid account": f"Set `slurm_account` {RESOURCES}; `sacctmgr show associations user=$USER format=account,partition,qos` lists yours",
    "invalid qos": f"Set `qos` {RESOURCES}; `sacctmgr show associations user=$USER format=account,partition,qos` lists yours",
    "invalid feature": f"Set `constraint` {RESOURCES}; `sinfo -o '%P %f'` lists what nodes have",
    "time limit is invalid": "Lower `runtime`, or set `most.runtime`, under run.resources; `sinfo -o '%P %l'` lists the limits",
    "invalid generic resource": f"Set `gpu_model` {RESOURCES}, or leave it out; `sinfo -o '%P %G'` lists what nodes have",
    "node configuration is not available": "No node of the partition has so much: lower `gpus`, `threads` or `nodes` of the experiment or "
    "`mem_mb` (and `most.mem_mb`) under run.resources, or take another `slurm_partition`; `sinfo -o '%P %D %c %m %G'` lists what there is",
}
"""What Slurm says (in small letters) to a job that it will never start -> what to do."""
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
    plugin.validate_account = lambda account, logger: account  # sbatch knows better, and its answer isn't a traceback
    plugin.get_submit_command = Submissions(plugin.get_submit_command, plugin.set_gres_string)
    plugin.Executor.sleep = _until_the_next_look
    plugin.get_max_array_size = _Present(plugin.get_max_array_size, plugin.WorkflowError)


async def _until_the_next_look(executor: Any) -> None:
    longest = CALM * executor.workflow.executor_settings.init_seconds_before_status_checks
    await asyncio.sleep(min(executor.next_seconds_between_status_checks, longest))


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
    generic: Callable[[Any], str]
    """The options that the executor adds for GPUs and the like."""
    orphans: dict[str, list[str]] | None = None
    """What a job is for, as its comment says -> jobs of an earlier run."""
    tried: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    """What jobs ask for -> why Slurm would not have such a job, if so."""

    def __call__(self, job: Any, params: dict[str, Any], *more: Any, **settings: Any) -> str:
        """The command that submits a job; or, where submitting is in vain, one that fails with the reason, and no further attempt."""
        wait_for_controller()
        if self.orphans is None:
            self.orphans = orphans(Path(params["workdir"]), params["run_uuid"])
        command = self.command(job, params, *more, **settings)
        if reason := _mistake(job) or self._refused(command + self.generic(job)):
            job.attempt = job.restart_times + 1
            return f"printf %s {shlex.quote(reason)} >&2; exit 2; #"
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

    def _refused(self, command: str) -> str | None:
        """Why Slurm would never have such a job, and what to do; asked once for all that are alike."""
        words = shlex.split(command)[1:]
        own = {place for place, word in enumerate(words) if word in ("--job-name", "--output", "--comment")}
        asked = tuple(word for place, word in enumerate(words) if not {place, place - 1} & own and word != "--parsable")
        if asked not in self.tried:
            self.tried[asked] = refusal(asked)
        return self.tried[asked]


def refusal(asked: tuple[str, ...]) -> str | None:
    """What Slurm says to a job with these options of sbatch that it would never start, and what to do; None where it would."""
    done = _ran("sbatch", "--test-only", *asked, "--wrap", "true")
    said = done.stderr if done and done.returncode else ""
    advice = next((what for sign, what in IN_VAIN.items() if sign in said.lower()), None)
    if advice is None:
        return None
    reasons = "; ".join(line.rpartition("error: ")[2].removeprefix("allocation failure: ") for line in said.splitlines())
    return f"{reasons} (asked for: {' '.join(asked)}). {advice}. `polar-tools doctor --profile slurm` looks at all of it"


def _mistake(job: Any) -> str | None:
    """The mistake in the config for which an earlier attempt at a job ended."""
    folders = [Path(output).parent for output in (job.expanded_output if job.is_group() else job.output)] if job.attempt > 1 else []
    found = ((folder, refusals.read(folder)) for folder in folders)
    return next((f"{folder}: {error} (not tried again: it would end so each time)" for folder, error in found if error), None)


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
    """What one of Slurm's commands prints; nothing where it can't be run."""
    done = _ran(*command)
    return done.stdout if done else ""


def _ran(*command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return None
