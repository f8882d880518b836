"""What has become of every artifact of a plan, and what is being done about it: read off the disk, and off Slurm's queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polar_tools import advancement, lock, slurm_jobs
from polar_tools.advancement import Advancement
from polar_tools.lock import Owner
from polar_tools.plan import Plan
from polar_tools.slurm_jobs import Job

LAST_LINES = 5
"""Of a log that tells of a failure."""
STATES = ("done", "running", "queued", "failed", "ready", "waiting")
ERROR = "error: "


@dataclass(frozen=True)
class Standing:
    """How one artifact stands."""

    path: str
    state: str
    """`done`; `running`; `queued` in Slurm; `failed`; `ready` to be made; `waiting` for what it is made from."""
    advancement: Advancement | None = None
    owner: str | None = None
    """Who works on it."""
    reason: str | None = None
    """Why it failed, or is queued."""
    log: str | None = None
    last_lines: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For programs: what there is to say."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


def of(plan: Plan, root: Path = Path()) -> list[Standing]:
    """Every artifact's, in the order of the work."""
    states = plan.states(root)
    if "to make" not in states.values():
        return [Standing(path, "done") for path in states]
    queued = {(job.rule, job.wildcards): job for job in slurm_jobs.queue()}
    return [_standing(plan, root, path, states, queued) for path in states]


def _standing(plan: Plan, root: Path, path: str, states: dict[str, str], queued: dict[tuple[str, str], Job]) -> Standing:
    if states[path] == "done":
        return Standing(path, "done")
    folder, spec = root / path, plan.artifacts[path].spec
    held, far = lock.holder(folder), advancement.read(folder)
    if held and held[1]:
        return Standing(path, "running", far, str(held[0]))
    if job := queued.get((spec.stage, _wildcards(path, spec.stage))):
        state, why = ("running", None) if job.state == "RUNNING" else ("queued", f"Slurm job {job.number}: {job.reason}")
        return Standing(path, state, far, f"Slurm job {job.number} on {job.nodes}" if job.nodes else None, why)
    if held:
        return Standing(path, "failed", far, None, _killed(held[0]), *_told(root, path))
    if "to make" in (states[above] for above in spec.inputs()):
        return Standing(path, "waiting")
    log, lines = _told(root, path)
    newer = log is not None and (root / log).stat().st_mtime >= (folder / "spec.json").stat().st_mtime
    errors = [line for line in lines if line.startswith(ERROR)]
    if newer and errors:
        return Standing(path, "failed", far, None, errors[-1].removeprefix(ERROR), log, lines)
    return Standing(path, "ready", far)


def _killed(owner: Owner) -> str:
    """Why somebody is gone who left the lock behind."""
    why = slurm_jobs.ending(owner.job) if owner.job else None
    return f"{owner} was killed: {why or 'by a signal, for want of memory, or with its machine'}"


def _told(root: Path, path: str) -> tuple[str | None, tuple[str, ...]]:
    """The log of the rule that makes the artifact, and its last lines."""
    log = log_of(path)
    try:
        lines = (root / log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None, ()
    return log, tuple(lines[-LAST_LINES:])


def log_of(path: str) -> str:
    """Where Snakemake's rules put what the tool says that makes an artifact."""
    return f"logs/{path.removeprefix('results/')}.log"


def _wildcards(path: str, stage: str) -> str:
    """The values of the wildcards of the rule that makes the artifact, as Snakemake writes them into a job's comment."""
    words = path.split("/")[1:]
    named = words[1:] if words[0] in ("datasets", "models") else words
    return "_".join(word for word in named if word not in (stage, "clean"))


def lines(standings: list[Standing]) -> Iterator[str]:
    """The table for people, and how many there are of each state."""
    width = max((len(one.path) for one in standings), default=0)
    for one in standings:
        said = [str(one.advancement)] if one.advancement else []
        said += [text for text in (one.owner, one.reason) if text]
        yield f"{one.path:{width}}  {one.state:7}  {'; '.join(said)}".rstrip()
        if one.state == "failed" and one.log:
            yield f"    {one.log}:"
            yield from (f"    | {line}" for line in one.last_lines)
    counts = [(state, sum(one.state == state for one in standings)) for state in STATES]
    yield ", ".join(f"{count} {state}" for state, count in counts if count)
