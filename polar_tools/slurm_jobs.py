"""What a Slurm cluster says of its jobs, where there is one; nothing where there is none."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

SECONDS = 10
"""How long to wait for an answer. `sacct` is never asked: where accounting is off it may not come back."""
REASONS = {
    "BOOT_FAIL": "the node failed",
    "CANCELLED": "it was cancelled",
    "DEADLINE": "its deadline passed",
    "NODE_FAIL": "the node failed",
    "OUT_OF_MEMORY": "it needed more memory than it had asked for",
    "PREEMPTED": "another job took its place",
    "TIMEOUT": "the time limit came",
}
"""States in which jobs end otherwise than by themselves, in words."""


@dataclass(frozen=True)
class Job:
    """A job as the queue has it: `rule` and `wildcards` are Snakemake's, from the job's comment."""

    number: str
    state: str
    reason: str
    nodes: str
    comment: str

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]

    @property
    def wildcards(self) -> str:
        """The values of its wildcards, with _ between them."""
        return self.comment.partition("_wildcards_")[2]


def queue() -> list[Job]:
    """The caller's jobs that are waiting or running; none where no cluster answers."""
    return [Job(*line.split("|", 4)) for line in _asked("squeue", "--me", "-h", "-o", "%i|%T|%r|%N|%k") if line.count("|") >= 4]


def ending(job: str) -> str | None:
    """Why a job that is no more ended, in words; None where the cluster has forgotten it, or it ended by itself."""
    for line in _asked("scontrol", "show", "job", "-o", job):
        told = dict(part.split("=", 1) for part in line.split() if "=" in part)
        return REASONS.get(told.get("JobState", ""))
    return None


def _asked(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()
