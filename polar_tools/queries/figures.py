"""A number that was measured: found by the words that a person has for it, with its interval and the file that it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean
from polar_tools.provenance import Node
from polar_tools.queries.project import Made
from polar_tools.queries.project import artifacts as all_artifacts

STAGES = ("evaluate", "harness")
"""Stages that measure."""


@dataclass(frozen=True)
class Figure:
    """One metric of one evaluation: its value and the ends of its 95 % interval, where there is one."""

    evaluation: str
    metric: str
    value: float
    interval: tuple[float, float] | None
    rows: int | None
    report_sha256: str | None

    def as_dict(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            **{"evaluation": self.evaluation, "metric": self.metric, "value": self.value},
            **{"interval": self.interval, "rows": self.rows, "report": self.report_sha256},
        }

    def __str__(self) -> str:
        return f"{self.metric} = {written(self.value, self.interval)}" + ("" if self.rows is None else f" on {self.rows} rows")


def written(value: float, interval: tuple[float, float] | None) -> str:
    """A value with its interval, to as many digits as a person reads."""
    ends = "" if interval is None else f" [{interval[0]:.6g}, {interval[1]:.6g}]"
    return f"{value:.6g}{ends}"


def of(made: Made) -> dict[str, Figure]:
    """The metrics of an evaluation by name; none of any other artifact."""
    if made.stage not in STAGES:
        return {}
    facts, report = made.facts, made.record["files"].get("report.json", {}).get("sha256")
    ends = {name: (float(low), float(high)) for name, (low, high) in facts.get("intervals", {}).items()}
    return {
        name: Figure(made.path, name, value, ends.get(name), facts.get("rows"), report)
        for name, value in facts["metrics"].items()
        if isinstance(value, int | float)
    }


def find(root: Path, run: str, evaluation: str | None, metric: str | None) -> tuple[Made, Figure | None]:
    """The evaluation of a run (`describe/seed0`, `describe/base`) and its metric; raises UserError that says what there is instead."""
    below = f"results/{run.strip('/').removeprefix('results/')}/"
    made = all_artifacts(root)
    there = {path.rpartition("/")[2]: one for path, one in made.items() if path.startswith(below) and one.stage in STAGES}
    if not there:
        runs = sorted({path.removeprefix("results/").rsplit("/", 2)[0] for path, one in made.items() if one.stage in STAGES})
        raise UserError(f"nothing was measured in {below}{did_you_mean(run, runs) or '; there are ' + (', '.join(runs) or 'none')}")
    if evaluation is None and len(there) > 1:
        raise UserError(f"{below} has several evaluations; name one of {', '.join(sorted(there))}")
    if evaluation is not None and evaluation not in there:
        raise UserError(f"{below} has no evaluation `{evaluation}`; it has {', '.join(sorted(there))}")
    found = there[evaluation] if evaluation is not None else next(iter(there.values()))
    figures = of(found)
    if metric is not None and metric not in figures:
        raise UserError(f"{found.path} has no metric `{metric}`{did_you_mean(metric, list(figures)) or '; it has ' + ', '.join(figures)}")
    return found, None if metric is None else figures[metric]


def sources(node: Node) -> list[dict[str, Any]]:
    """What a chain begins with: each source with its commit or archive's sha256, and the sha256 of every file that was taken."""
    found: dict[str, dict[str, Any]] = {}

    def visit(one: Node) -> None:
        source = one.record["facts"].get("source")
        if source is not None:
            files = {name: entry["sha256"] for name, entry in one.record["files"].items()}
            found[one.path] = {"path": one.path, **source, "files": files}
        for part in one.inputs:
            visit(part)

    visit(node)
    return [found[path] for path in sorted(found)]
