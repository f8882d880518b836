"""What a job costs beside its work on a real Slurm cluster of virtual nodes, alone and in groups: `make bench-slurm`, as root.

All nodes are this machine, so what is measured is the work of starting jobs on its cores, and not how fast a cluster of many machines is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.slurm import cluster as slurm

REPOSITORY = Path(__file__).parent.parent
WIDE = """\
rule all:
    input: expand("made/{{number}}", number=range({jobs}))
rule one:
    output: "made/{{number}}"
    resources: mem_mb=1000, runtime=5, side_by_side=1
    group: "ones"
    shell: "touch {{output}}"
"""
CHAIN = """\
SECONDS = {seconds}
rule all:
    input: f"made/{{len(SECONDS)}}"
rule link:
    output: "made/{{number}}"
    input: lambda w: [f"made/{{int(w.number) - 1}}"] if int(w.number) > 1 else []
    resources: mem_mb=1000, runtime=5
    params: seconds=lambda w: SECONDS[int(w.number) - 1]
    shell: "sleep {{params.seconds}}; touch {{output}}"
"""
SECONDS = (1, 15, 40, 70)


def run(cluster: slurm.Cluster, folder: Path, workflow: str, *words: str) -> float:
    """Seconds of wall time that a workflow takes through the profile."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "Snakefile").write_text(workflow, encoding="utf-8")
    began = time.monotonic()
    command = (str(Path(sys.executable).parent / "snakemake"), "--profile", str(REPOSITORY / "profiles/slurm"), *words)
    done = subprocess.run(command, cwd=folder, env=os.environ | cluster.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.monotonic() - began


def jobs(cluster: slurm.Cluster, folder: Path) -> list[tuple[datetime, datetime, datetime]]:
    """When each job of a folder was submitted, started and ended."""
    told = cluster.says("squeue", "--states=all", "--noheader", "--format=%i|%V|%S|%e|%Z").splitlines()
    lines = sorted((line.split("|") for line in told if line.endswith(f"|{folder}")), key=lambda line: int(line[0]))
    return [(datetime.fromisoformat(line[1]), datetime.fromisoformat(line[2]), datetime.fromisoformat(line[3])) for line in lines]


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    count = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="polar-bench-") as name, slurm.running(Path(name) / "cluster", MinJobAge="3600") as cluster:
        for title, size in (("alone", 1), ("in groups of 20", 20)):
            folder = Path(name) / f"wide{size}"
            wall = run(cluster, folder, WIDE.format(jobs=count), "--group-components", f"ones={size}")
            spent = [(ended - started).total_seconds() for _, started, ended in jobs(cluster, folder)]
            print(
                f"{count} jobs {title}: {len(spent)} of Slurm, {wall:.0f} s, {wall / count:.2f} s a job; "
                f"a job of Slurm lasts {statistics.median(spent):.0f} s (median)",
                flush=True,
            )
        folder = Path(name) / "chain"
        run(cluster, folder, CHAIN.format(seconds=SECONDS))
        links = jobs(cluster, folder)
        for seconds, (_, _, ended), (submitted, _, _) in zip(SECONDS, links, links[1:], strict=False):
            print(
                f"a job of {seconds} s of work: the next was submitted {(submitted - ended).total_seconds():.0f} s after its end",
                flush=True,
            )


if __name__ == "__main__":
    main()
