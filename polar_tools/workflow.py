"""A whole config made by Snakemake, from a program's point of view: one process that ends in order when it is told to stop."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from polar_tools.errors import UnfinishedError, UserError


def run(config: Path, profile: str | None, targets: Sequence[str], cores: int | None, dry_run: bool) -> int:
    """Run Snakemake in the working directory and return its exit status.

    Told to stop, it has the tools that run here save what they can; with a profile, the cluster's jobs are cancelled, which tells them so.
    Raises UnfinishedError then, and UserError where there is nothing to run.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise UserError("snakemake isn't installed: pip install 'polar-tools[workflow]'")
    if not Path("Snakefile").is_file() and not Path("workflow/Snakefile").is_file():
        raise UserError(f"there is no Snakefile in {Path.cwd()}; run it in the folder of a project")
    if not config.is_file():
        raise UserError(f"there is no config file {config}")
    words = ["--configfile", str(config), *(["--profile", profile] if profile else []), *(["--cores", str(cores)] if cores else [])]
    words += ["--nocolor"] if os.environ.get("NO_COLOR") else []  # which Snakemake doesn't look at by itself
    words += [*(["--dry-run"] if dry_run else []), *(["--", *targets] if targets else [])]
    child = subprocess.Popen([sys.executable, "-m", "snakemake", *words], process_group=0)
    told: list[int] = []

    def stop(number: int, _: Any) -> None:
        told.append(number)
        with suppress(ProcessLookupError):
            if profile is not None or number == signal.SIGINT:
                os.kill(child.pid, signal.SIGINT)  # with SIGTERM it would wait for the cluster's jobs, which may take days
            else:
                os.killpg(child.pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, stop)
    status = child.wait()
    if told and status:
        raise UnfinishedError("stopped; what is finished stays, and the same command goes on from there")
    return status
