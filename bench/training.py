"""One fine-tuning job by this project, by what people pick instead, and by bare loops, side by side: `make bench-train`. Never a test.

SmolLM2-135M with LoRA (r 16 on all linear layers), Wikipedia's descriptions after prompts of very different lengths, the loss on the answer
only, the same rows in the same number of steps. The ways take turns, each in a fresh process of its own environment; afterwards one
evaluator takes the loss of every adapter on the same held-out rows, so that speed can't be bought with quality. Tokens a second are those
of all rows without padding, by the share of the steps from the second on, over the time from the end of the first step to that of the last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from bench.timeline import Timeline, run
from bench.training_job import REPOSITORY, Job, prepare
from bench.training_ways import WAYS, Way
from tests.watched import at_home

FOLDER = REPOSITORY / "build/bench-train"
HEAD = "| way | first step s | wall s | CPU s | memory MB | tokens/s | tokens/CPU s | held-out loss |\n|---|---|---|---|---|---|---|---|"


def measured(way: Way, job: Job, out: Path) -> Timeline:
    """The way's run; what it writes lies in `out` afterwards."""
    shutil.rmtree(out, ignore_errors=True)
    place = out.parent
    place.mkdir(parents=True, exist_ok=True)
    programs = Path(sys.executable).parent if way.environment is None else FOLDER / way.environment / "bin"
    program, *words = way.command(job, out)
    variables = {"PYTHONUNBUFFERED": "1", **way.variables}
    if job.threads is not None:
        variables["OMP_NUM_THREADS"] = str(job.threads)
    environment = at_home(place / "home", **variables)
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    if way.environment is None:
        environment["PYTHONPATH"] = str(REPOSITORY)
    os.sync()  # lest it waits for what another one wrote
    found = run([str(programs / program), *words], way.step, place, environment)
    (out.parent / f"{out.name}.log").write_text(found.said)
    return found


def held_out(job: Job, adapter: Path | None = None) -> float:
    """The loss on held-out rows of the untouched model, or with an adapter."""
    command = [sys.executable, str(REPOSITORY / "bench/held_out_loss.py"), str(job.model), str(job.test)]
    done = subprocess.run([*command, *([] if adapter is None else [str(adapter)])], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


def adapter_of(out: Path) -> Path:
    """The folder of the last adapter that was saved below `out`."""
    found = list(out.rglob("adapter_config.json"))
    return out if out / "adapter_config.json" in found else max(found, key=lambda path: path.stat().st_mtime).parent


def row(name: str, runs: list[Timeline], job: Job, loss: float) -> str:
    """A line of the table: medians of the runs."""
    share = job.tokens * (job.steps - 1) / job.steps

    def middle(figures: list[float]) -> float:
        return statistics.median(figures)

    speeds = [[share / (getattr(one.steps[-1], kind) - getattr(one.steps[0], kind)) for one in runs] for kind in ("wall", "cpu")]
    cells = [f"{middle([one.steps[0].wall for one in runs]):.1f} ({middle([one.steps[0].cpu for one in runs]):.1f} CPU)"]
    cells += [f"{middle([getattr(one.end, kind) for one in runs]):.1f}" for kind in ("wall", "cpu")]
    cells += [f"{middle([one.memory / 1e6 for one in runs]):.0f}", *(f"{middle(one):.0f}" for one in speeds), f"{loss:.3f}"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """All ways, by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="steps of 8 rows, each of which is seen once")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, help="threads of every tool; without it what each takes by itself")
    parser.add_argument("--ways", nargs="+", metavar="WORD", default=[""], help="only ways whose names have one of these in them")
    asked = parser.parse_args()
    ways = [way for way in WAYS if any(word in way.name for word in asked.ways)]
    job = prepare(FOLDER / "job", asked.steps, asked.threads)
    runs: dict[str, list[Timeline]] = {}
    for number in range(asked.runs):
        for way in ways:
            out = FOLDER / "runs" / way.name.replace(", ", "-").replace(" ", "-") / "out"
            if way.environment is not None and not (FOLDER / way.environment / "bin").is_dir():
                print(f"{way.name}: its environment isn't there; `make bench-train` makes it", file=sys.stderr)
                continue
            found = measured(way, job, out)
            if found.status or len(found.steps) != job.steps:
                print(f"{way.name}: status {found.status}, {len(found.steps)} steps seen; {out}.log", file=sys.stderr, flush=True)
                continue
            runs.setdefault(way.name, []).append(found)
            figures = {**asdict(found), "said": len(found.said)}
            print(f"{number + 1} {way.name}: {json.dumps(figures)}", file=sys.stderr, flush=True)
    print(
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; held-out loss of the untouched model {held_out(job):.3f}\n{HEAD}",
        flush=True,
    )
    for way in (way for way in ways if way.name in runs):
        out = FOLDER / "runs" / way.name.replace(", ", "-").replace(" ", "-") / "out"
        try:
            print(row(way.name, runs[way.name], job, held_out(job, adapter_of(out))), flush=True)
        except (RuntimeError, ValueError):
            traceback.print_exc()


if __name__ == "__main__":
    main()
