"""What each job asks of a cluster: from the config where it says so, otherwise from what is foretold, and more with each attempt."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from polar_tools.estimates.planned import Planned
from polar_tools.plan import Plan
from polar_tools.run_config import Limits, Resources

USUAL = {"rank": 16000, "train": 16000, "evaluate": 16000}
"""MiB that `auto` asks for at least; libraries alone take a few thousand."""
OTHERWISE = 8000
MARGIN = 1.25
"""What `auto` asks for, of what is foretold: estimates are a few percent off, and too little is a job for nothing."""
GROWTH = 3
"""Up to how many times the memory of the first attempt is asked for, where no limit is told."""
WARNING, SHARE = 300, 0.25
"""Seconds before its end at which a training is told, so that it saves; and of what part of a short limit."""

Resource = Callable[..., Any]


class Allocations:
    """Memory, time and place of a plan's jobs. Where `foretold` is False, as in a job that has its allocation, nothing is estimated."""

    def __init__(self, plan: Plan, foretold: bool = True) -> None:
        self.plan, self.foretold = plan, foretold
        self._mem_mb: dict[str, int] = {}
        self._looked_again: set[str] = set()

    def mem_mb(self, path: str, attempt: int) -> int:
        """MiB that the job of an artifact asks for at an attempt, which are counted from 1."""
        first, most = self._first(path), self._most.mem_mb
        return min(first * attempt, max(first, most) if most else first * GROWTH)

    def runtime(self, stage: str, attempt: int) -> int:
        """Minutes that a stage's job asks for at an attempt."""
        first = self.plan.resources(stage).runtime
        return min(first * attempt, max(first, self._most.runtime))

    def of(self, stage: str, path: str) -> dict[str, Any]:
        """The resources of a stage's rule, by the names of Snakemake's executor; `path` is its artifact's, with wildcards."""
        asked = self.plan.resources(stage)
        named = {name: getattr(asked, name) for name in ("slurm_partition", "slurm_account", "qos", "constraint")}
        found: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        found["mem_mb"] = lambda wildcards, attempt: self.mem_mb(_named(path, wildcards), attempt)
        found["runtime"] = lambda wildcards, attempt: self.runtime(stage, attempt)
        if asked.gpu_model is not None:
            found["gpu_model"] = lambda wildcards: self._gpu_model(_named(path, wildcards), asked)
        if stage == "train":
            found["slurm_extra"] = lambda wildcards, attempt: self._warned(asked, self.runtime(stage, attempt))
        elif asked.slurm_extra:
            found["slurm_extra"] = asked.slurm_extra
        return found

    @property
    def _most(self) -> Limits:
        return self.plan.config.run.resources.most

    def _gpu_model(self, path: str, asked: Resources) -> str | None:
        """Which GPUs; None for a job without, and for one on several nodes, which says it otherwise."""
        return asked.gpu_model if self.plan.gpus(path) and self.plan.allocation(path)["mpi"] is None else None

    def _warned(self, asked: Resources, runtime: int) -> str:
        """Options of sbatch by which a training is told of its end early enough."""
        return f"--signal=TERM@{min(WARNING, int(runtime * 60 * SHARE))} {asked.slurm_extra}".strip()

    def _first(self, path: str) -> int:
        stage = self.plan.artifacts[path].spec.stage
        asked = self.plan.resources(stage).mem_mb
        if asked != "auto":
            return asked
        usual = USUAL.get(stage, OTHERWISE)
        return max(usual, self._estimate(path)) if self.foretold else usual

    def _estimate(self, path: str) -> int:
        """MiB with a margin; 0 while nobody can tell. Where inputs were missing, it is looked at once more when they are there."""
        if path not in self._mem_mb or (not self._mem_mb[path] and path not in self._looked_again and self._inputs_are_there(path)):
            again = path in self._mem_mb
            if again:
                self._looked_again.add(path)
            host = (Planned(self.plan) if again else self._planned).of(path).host
            self._mem_mb[path] = int((host or 0) * MARGIN)
        return self._mem_mb[path]

    def _inputs_are_there(self, path: str) -> bool:
        return all(Path(manifest).is_file() for manifest in self.plan.inputs(path))

    @cached_property
    def _planned(self) -> Planned:
        return Planned(self.plan)


def _named(path: str, wildcards: Any) -> str:
    return path.format_map(dict(wildcards.items()))
