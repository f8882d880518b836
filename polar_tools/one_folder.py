"""A whole config made in one folder: config.yaml, all artifacts, and the trained model where people look for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polar_tools import artifact, config_text, execution, records
from polar_tools import config as configs
from polar_tools.errors import UserError
from polar_tools.layout.sources import Artifact
from polar_tools.plan import REPORT, Plan
from polar_tools.specs import TrainSpec

CONFIG = "config.yaml"
PATHS = ("deepspeed", "resume_from_checkpoint")
"""Fields of an experiment that may say where something lies; paths in a spec are below the folder of the training."""


class Made(NamedTuple):
    """What lies in the folder afterwards."""

    model: Path
    """The (first) trained model."""
    eval_metrics: dict[str, float]
    report: Path
    """The page that compares before and after."""
    figures: dict[str, tuple[float, float]]
    """EVALUATION.FIGURE -> before and after."""


def make(
    data: Mapping[str, Any],
    root: Path,
    overwrite: bool = False,
    wanted: Callable[[Artifact], bool] = lambda made: True,
    how: Callable[[Plan], Mapping[str, Any]] = lambda plan: {},
    with_object: bool = False,
) -> Made:
    """Make what is `wanted` of a config with an experiment; what is there already isn't made again.

    `how` is told to its trainings besides their specs; `with_object` says that there is something in it that can't be compared. Raises
    UserError where a finished training of other settings lies there, unless it may be overwritten.
    """
    plan = Plan(configs.parse(dict(data), str(root / CONFIG)))
    trainings = [path for path, made in plan.artifacts.items() if isinstance(made.spec, TrainSpec)]
    root.mkdir(parents=True, exist_ok=True)
    if not overwrite:
        _refuse_another(plan, trainings, root, with_object)
    elif with_object:
        _forget(trainings, root)
    write(data, root)
    told = how(plan)
    try:
        execution.make(plan, root, wanted, lambda path: told if path in trainings else {})
    finally:  # the model is there also where what comes after it fails
        if (root / trainings[0] / "manifest.json").is_file():
            _link(root, f"{trainings[0]}/{TrainSpec.PAYLOAD}")
    record = artifact.read_json(root / trainings[0] / "record.json") or {}
    return Made(root / "model", record["facts"].get("eval_metrics", {}), root / REPORT / "index.html", dict(_figures(plan, root)))


def write(data: Mapping[str, Any], root: Path) -> Path:
    """Write config.yaml into `root`, and return where."""
    root.mkdir(parents=True, exist_ok=True)
    records.write_whole(root / CONFIG, config_text.document(data, folder=root).encode())
    return root / CONFIG


def _figures(plan: Plan, root: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """What was measured of the untouched model and of the first trained one."""
    for name, experiment in plan.config.experiments.items():
        for evaluation in experiment.evaluations:
            folders = [root / f"results/{name}/{run}/evaluate/{evaluation}" for run in ("base", f"seed{experiment.seeds[0]}")]
            before, after = ((artifact.read_json(folder / "report.json") or {}).get("metrics", {}) for folder in folders)
            numbers = {figure: value for figure, value in before.items() if isinstance(value, int | float)}
            yield from ((f"{evaluation}.{figure}", (value, after[figure])) for figure, value in numbers.items() if figure in after)


def anchored(data: Mapping[str, Any], here: Path) -> dict[str, Any]:
    """A config whose files of this machine are found from any folder: those with paths below `here` get them whole."""

    def whole(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: whole(key, item) for key, item in value.items()}
        if isinstance(value, str) and value.startswith("file://"):
            return f"file://{(here / value.removeprefix('file://')).resolve()}"
        if name in PATHS and isinstance(value, str) and (here / value).exists():
            return str((here / value).resolve())
        return value

    return {key: whole(key, item) for key, item in data.items()}


def _refuse_another(plan: Plan, trainings: Sequence[str], root: Path, with_object: bool) -> None:
    """Raise UserError where a training is finished in `root` that isn't the one that is asked for, or can't be compared with it."""
    for path in trainings:
        made = plan.artifacts[path]
        finished = (root / path / "manifest.json").is_file()
        if finished and (with_object or not artifact.is_done(root / path, made.spec, made.frozen, artifact.Records(root))):
            raise UserError(
                f"{root} holds a finished training with other settings or data; choose another folder, remove it, or replace it with "
                "--overwrite-output-dir"
            )


def _forget(trainings: Sequence[str], root: Path) -> None:
    """Have trainings made again, whatever they were made from."""
    for name in ("manifest.json", "record.json"):
        for path in trainings:
            (root / path / name).unlink(missing_ok=True)


def _link(root: Path, target: str) -> None:
    """`root`/model, where people look for it."""
    link = root / "model"
    link.unlink(missing_ok=True)
    link.symlink_to(target)
