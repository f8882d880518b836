"""Another program's training, run here: its arguments as a config, everything made below one folder, the trained model at hand there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polar_tools import artifact, execution, options
from polar_tools import config as configs
from polar_tools.conversions.base import DATA, EVALUATION, EXPERIMENT, Draft
from polar_tools.errors import PolarError, UnfinishedError, UserError, WorldError
from polar_tools.plan import REPORT, Plan
from polar_tools.records import write_whole
from polar_tools.specs import TrainSpec

PATHS = ("deepspeed", "resume_from_checkpoint")
"""Fields of an experiment that may name a file."""
OFFLINE = "HF_HUB_OFFLINE"


@dataclass(frozen=True)
class Made:
    """What there is now: the trained model, the report, and figures before and after by `EVALUATION.FIGURE`."""

    model: Path
    report: Path
    figures: dict[str, tuple[float, float]]


def settle(draft: Draft, root: Path, hold_out: float | None = None) -> None:
    """Finish a draft for a run below `root` on this machine: its GPUs, paths that lead there from `root`, and a share to be held out.

    GPUs are all that there are, or as many as the draft asks for if that is fewer.
    """
    if hold_out is not None:
        _hold_out(draft, hold_out)
    _use_gpus(draft)
    experiment = draft.config["experiments"][EXPERIMENT]
    for field in (name for name in PATHS if Path(str(experiment.get(name, ""))).is_file()):
        experiment[field] = str(Path(experiment[field]).resolve())
    for section in ("models", "datasets"):
        for name, part in draft.config.get(section, {}).items():
            for field in ("source", "test_source"):
                if str(part.get(field, "")).startswith("file://"):
                    part[field] = _absolute(part[field], f"{section}.{name}.{field}", root)


def _hold_out(draft: Draft, share: float) -> None:
    if EVALUATION in draft.config.get("evaluations", {}):
        raise UserError("--hold-out: rows are held out already, by a split of their own")
    draft.put(f"datasets.{DATA}.split", {"test_size": share, "seed": 0}, "", "--hold-out")
    draft.put(f"evaluations.{EVALUATION}.dataset", DATA, "", "--hold-out")
    draft.put(f"experiments.{EXPERIMENT}.evaluations", [EVALUATION], "", "--hold-out")


def _use_gpus(draft: Draft) -> None:
    """All that there are, as the other programs do."""
    options.set_up("mirror")  # before torch is loaded, which reads some of it once
    import torch

    there, experiment = torch.cuda.device_count(), draft.config["experiments"][EXPERIMENT]
    count = min(there, experiment.get("gpus", there))
    if count != experiment.get("gpus", 0):
        draft.put(f"experiments.{EXPERIMENT}.gpus", count, "", f"this machine shows {there}")
    if count < 2 and experiment.pop("deepspeed", None):
        draft.note("chosen", "", (f"experiments.{EXPERIMENT}.deepspeed",), "left out: there are no GPUs to divide anything among")


def _absolute(source: str, place: str, root: Path) -> str:
    path = Path(source.removeprefix("file://")).resolve()
    if root.resolve().is_relative_to(path):
        raise UserError(f"{place}: {path} holds {root} too, where everything is made; put the data into a folder of its own")
    return f"file://{path.as_posix()}"


def run(draft: Draft, root: Path) -> Made:
    """Make all of the draft's plan below `root`, whose config.yaml says the same; what is done is not made again.

    Secrets of the draft are in this process's environment from then on, and nowhere else. Raises UserError where another training is
    finished there, and whatever a stage raises.
    """
    os.environ.update(draft.environment)
    online = {name: value for name, value in os.environ.items() if name == OFFLINE}
    plan = Plan(configs.parse(draft.config, str(root / "config.yaml")))
    training = next(path for path, made in plan.artifacts.items() if isinstance(made.spec, TrainSpec))
    if not draft.overwrite:
        _refuse_another(plan, training, root)
    write(draft, root)
    execution.make(plan, root, lambda made: made.spec.stage == "mirror")  # before any library is told that there is no network
    try:
        execution.make(plan, root, lambda made: made.spec.stage not in ("mirror", "publish"))
    finally:
        if (root / training / "manifest.json").is_file():
            _link(root / "model", f"{training}/{TrainSpec.PAYLOAD}")
    for path, made in plan.artifacts.items():
        if made.spec.stage == "publish":
            _publish(root, path, online)
    return Made(root / "model", root / REPORT / "index.html", dict(_figures(plan, root)))


def write(draft: Draft, root: Path) -> Path:
    """Write the config into `root`, and return where."""
    file = root / "config.yaml"
    root.mkdir(parents=True, exist_ok=True)
    write_whole(file, yaml.safe_dump(draft.config, sort_keys=False, allow_unicode=True, width=140).encode())
    return file


def _refuse_another(plan: Plan, training: str, root: Path) -> None:
    made = plan.artifacts[training]
    if (root / training / "manifest.json").is_file() and not artifact.is_done(
        root / training, made.spec, made.frozen, artifact.Records(root)
    ):
        raise UserError(f"{root} holds a finished training with other settings or data; choose another project name, or remove {root}")


def _publish(root: Path, path: str, online: dict[str, str]) -> None:
    """By a process of its own: the Hub's client in this one believes that there is no network."""
    there = {name: value for name, value in os.environ.items() if name != OFFLINE} | online
    done = subprocess.run([sys.executable, "-m", "polar_tools", "publish", f"{path}/spec.json"], cwd=root, env=there, check=False)
    if done.returncode:
        kinds: dict[int, type[PolarError]] = {2: UserError, 75: UnfinishedError}
        message = f"{root / 'model'} is trained, and not published; what to do stands above, and the same command tries it again"
        raise kinds.get(done.returncode, WorldError)(message)


def _link(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _figures(plan: Plan, root: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """What was measured of the untouched model and of the trained one."""
    for name in plan.config.experiments[EXPERIMENT].evaluations:
        runs = ("base", f"seed{plan.config.experiments[EXPERIMENT].seeds[0]}")
        before, after = (_metrics(root / f"results/{EXPERIMENT}/{run}/evaluate/{name}/report.json") for run in runs)
        yield from ((f"{name}.{figure}", (value, after[figure])) for figure, value in before.items() if figure in after)


def _metrics(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.read_bytes())["metrics"]
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
