"""How far a job is, and what there is of what it makes: read off the folders that its arguments name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

OUTPUTS = ("output_dir", "output", "manifest", "to")
"""Arguments that name what a tool writes."""
REPORT = "results/report"
"""What a training on its own doesn't make."""
TAIL = 65_536


def artifacts(arguments: Mapping[str, Any], where: Path) -> dict[str, str]:
    """What is there of what a job writes, by the argument that names it; `model` is what a training made."""
    named = {name: where / str(arguments[name]) for name in OUTPUTS if arguments.get(name)}
    if "spec" in arguments:
        spec = where / str(arguments["spec"])
        named["spec"] = spec.parent if spec.name == "spec.json" else spec
    if "output_dir" in named:
        named["model"] = named["output_dir"] / "model"
    return {name: str(path) for name, path in named.items() if path.exists()}


def of(tool: str, arguments: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """The artifacts of what the job makes with their states, what is known of the one in the making, and the last line of metrics.jsonl.

    Empty for tools that make no artifacts, and while nothing is planned yet.
    """
    if "spec" in arguments:
        return _of_spec(where, str(arguments["spec"]))
    if "output_dir" in arguments:
        root = where / str(arguments["output_dir"])
        return _of_config(root / "config.yaml", root, (REPORT,))
    if tool == "run":
        return _of_project(str(arguments.get("config", "config/config.yaml")), where)
    return {}


def _of_project(config: str, where: Path) -> dict[str, Any]:
    """Of all artifacts of a project's config: by a process of its own, for a plan's paths are below the working directory."""
    asked = [sys.executable, "-P", "-m", "polar_tools", "status", config, "--json"]
    done = subprocess.run(asked, cwd=where, capture_output=True, check=False)
    if done.returncode:
        return {}  # what is wrong with the config, the job itself says
    found = json.loads(done.stdout)
    return {"artifacts": found, **_metrics([where / one["path"] for one in found])}


def _of_spec(where: Path, spec: str) -> dict[str, Any]:
    from polar_tools import advancement, lock

    path = Path(spec).parent if Path(spec).name == "spec.json" else Path(spec)
    folder = where / path
    held, far = lock.holder(folder), advancement.read(folder)
    state = "done" if (folder / "manifest.json").is_file() else "running" if held and held[1] else "ready"
    told = {"path": str(path), "state": state, **({"advancement": vars(far)} if far else {})}
    return {"artifacts": [told], **_metrics([folder])}


def _of_config(config: Path, root: Path, left: Container[str] = ()) -> dict[str, Any]:
    """Of all artifacts of a config below `root`, but for those that are left alone."""
    from polar_tools import config as configs
    from polar_tools import status
    from polar_tools.errors import PolarError
    from polar_tools.plan import Plan

    if not config.is_file():
        return {}
    try:
        standings = status.of(Plan(configs.load(config)), root)
    except PolarError:
        return {}  # what is wrong with it, the job itself says
    return {"artifacts": [one.as_dict() for one in standings if one.path not in left], **_metrics([root / one.path for one in standings])}


def _metrics(folders: list[Path]) -> dict[str, Any]:
    """The last whole line of the metrics.jsonl that was written last."""
    files = [file for file in (folder / "metrics.jsonl" for folder in folders) if file.is_file()]
    if not files:
        return {}
    newest = max(files, key=lambda file: file.stat().st_mtime)
    with newest.open("rb") as file:
        file.seek(max(0, newest.stat().st_size - TAIL))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            return {"metrics": json.loads(line)}
        except ValueError:
            continue
    return {}
