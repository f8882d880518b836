"""All of a plan, or a part of it, made in this process, below one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from polar_tools import options, signals
from polar_tools.layout.sources import Artifact
from polar_tools.plan import Plan


def make(
    plan: Plan,
    root: Path,
    wanted: Callable[[Artifact], bool] = lambda made: True,
    how: Callable[[str], Mapping[str, Any]] = lambda path: {},
) -> None:
    """Make the artifacts that are `wanted` below `root`, in the order of the work; what is done already is not made again.

    `how(path)` is told to the stage besides its spec, and changes nothing of what is made.
    """
    plan.settle(root)
    with contextlib.chdir(root), signals.listening():  # paths in a spec are below the working directory
        for path, made in plan.artifacts.items():
            if wanted(made):
                options.run_stage(made.spec.stage, Path(path), **how(path))
