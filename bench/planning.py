"""Start-up and planning, measured side by side in one run: `make bench`. Prints ratios and the commands; never a test.

CPU seconds are user + system of the whole process, the median of several runs.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

from polar_tools import config
from polar_tools.plan import Plan

REPOSITORY = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
EXPERIMENTS = 250


class Cost(NamedTuple):
    """Median CPU and wall seconds of a command."""

    cpu: float
    wall: float


def measure(*command: str, cwd: Path, runs: int = 5) -> Cost:
    """What `command` costs; a run that isn't counted warms the caches first."""
    samples = [_once(command, cwd) for _ in range(runs + 1)][1:]
    return Cost(statistics.median(s.cpu for s in samples), statistics.median(s.wall for s in samples))


def _once(command: tuple[str, ...], cwd: Path) -> Cost:
    before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - clock
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def many_experiments(folder: Path) -> Path:
    """A project whose config has as many experiments as the issue asks for, over one model and one dataset."""
    for name in ("Snakefile", "workflow", "profiles"):
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)  # noqa: S607
    (folder / "rows.csv").write_text("prompt,completion\na,b\n")
    experiment = {"method": "sft", "model": "m", "dataset": "d", "evaluations": ["e"]}
    data = {
        "models": {"m": {"source": "file://rows.csv"}},
        "datasets": {"d": {"source": "file://rows.csv", "split": {"test_size": 1}}},
        "evaluations": {"e": {"dataset": "d"}},
        "experiments": {f"x{number}": {**experiment, "learning_rate": 1e-5 * (number + 1)} for number in range(EXPERIMENTS)},
    }
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(yaml.safe_dump(data))
    return folder


def bare_workflow(folder: Path, edges: dict[str, list[str]]) -> Path:
    """The same jobs with the same files between them, written for Snakemake alone: no config, no plan, no specs."""
    rules = ["EDGES = " + repr(edges), "rule all:", "    input: list(EDGES)"]
    for kind in ("mirror", "prepare", "tokenize", "train", "evaluate", "report"):
        rules += [
            f"rule {kind}:",
            "    input: lambda w: EDGES[f'{w.path}/{w.kind}.out']",
            f"    output: '{{path}}/{{kind,{kind}}}.out'",
            "    shell: 'touch {output}'",
        ]
    (folder / "Snakefile").write_text("\n".join(rules) + "\n")
    return folder


def edges_of(project: Path) -> dict[str, list[str]]:
    """Output -> inputs of every job that the project's config plans, under neutral names."""
    plan = Plan(config.load(project / "config/config.yaml"))
    name = {path: f"{path}/{artifact.spec.stage}.out" for path, artifact in plan.artifacts.items()}
    return {name[path]: [name[above] for above in artifact.spec.inputs()] for path, artifact in plan.artifacts.items()}


def row(what: str, cost: Cost, note: str = "") -> None:
    """One line of the table."""
    print(f"{what:52} {cost.cpu:6.2f} CPU s  {cost.wall:6.2f} s   {note}", flush=True)


def start_up() -> None:
    """The commands that people type most."""
    bare = measure(str(BIN / "python"), "-c", "pass", cwd=REPOSITORY)
    row("python -c pass", bare)
    for arguments in (["--help"], ["check", "config/config.yaml"]):
        row(f"polar-tools {' '.join(arguments)}", measure(str(BIN / "polar-tools"), *arguments, cwd=REPOSITORY), "wanted: under 0.3 CPU s")


def planning(folder: Path) -> None:
    """A dry run over many experiments, beside Snakemake alone over the same jobs."""
    import os

    ours, bare = folder / "ours", folder / "bare"
    ours.mkdir(), bare.mkdir()
    many_experiments(ours)
    os.chdir(ours)  # file:// sources are below the working directory
    edges = edges_of(ours)
    bare_workflow(bare, edges)
    snakemake = [str(BIN / "snakemake"), "-n", "--quiet"]
    alone = measure(*snakemake, cwd=bare, runs=3)
    row(f"snakemake -n, bare, {len(edges)} jobs", alone)
    whole = measure(*snakemake, cwd=ours, runs=3)
    row(
        f"snakemake -n, {EXPERIMENTS} experiments, {len(edges)} jobs",
        whole,
        f"{whole.wall / alone.wall:.2f} times the bare one; wanted: at most 3",
    )


def nothing_to_do() -> None:
    """A second `snakemake` in a project where all has been made."""
    if not (REPOSITORY / "results/report/manifest.json").is_file():
        print("snakemake with nothing to do: not measured, run `make run` first")
        return
    row("snakemake, nothing to do", measure(str(BIN / "snakemake"), cwd=REPOSITORY), "wanted: under 5 s")


def main() -> None:
    """All of it; the commands are the names of the rows."""
    start_up()
    nothing_to_do()
    folder = Path(tempfile.mkdtemp(prefix="polar-bench-"))
    try:
        planning(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
