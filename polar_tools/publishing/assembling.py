"""Put a publication's folder together: hard links to the artifact's files, and the few that have to say something else there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from polar_tools import artifact
from polar_tools.errors import UserError
from polar_tools.fields import payload_of
from polar_tools.provenance import lineage
from polar_tools.publication_config import Requirement, Terms
from polar_tools.publishing import merging
from polar_tools.publishing.publication import Publication
from polar_tools.records import canonical, read_json, write_whole
from polar_tools.specs import PublishedRun, PublishSpec
from polar_tools.training import checkpoints
from polar_tools.transfer.selection import PICKLES

ADAPTER = "adapter_config.json"
CHECKPOINTS = "checkpoints"
LAST = "last-checkpoint"
"""The folder of the newest checkpoint, as transformers calls it."""
SAVED = ("checkpoint", "all_checkpoints")
"""Strategies by which whole checkpoints are published."""
OF_TRAINER = ("trainer_state.json", "README.md", checkpoints.MARKER)
"""Files of a checkpoint that are no part of the model."""


def assembled(spec: PublishSpec, folder: Path, repository: str) -> Publication:
    """Write `folder` anew and return what it is, which is to be loaded by `repository`; the card and the claim are still to come.

    Raises UserError where what is asked for can't be had of the artifact.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = chosen(spec)
    payload = spec.runs[run].model if run is not None else str(spec.dataset or spec.report)
    node = lineage(Path(payload_of(payload)))
    made = Publication(folder, spec.terms, spec, node, run)
    if run is not None:
        files = _model(made, Path(payload))
    else:
        files = _linked(Path(node.path), folder, artifact.files_of(Path(node.path), node.record["spec"]["stage"]))
    return Publication(folder, spec.terms, spec, node, run, files, repository)


def chosen(spec: PublishSpec) -> str | None:
    """Which of an experiment's runs is published: of several the best by the figure that is required."""
    if len(spec.runs) < 2:
        return next(iter(spec.runs), None)
    figure, requirement = next(iter(spec.terms.require.items()))
    values = {run: required(spec.runs[run], figure) for run in spec.runs}
    return max(values, key=lambda run: _merit(values[run], requirement))


def _merit(value: float, requirement: Requirement) -> float:
    return -value if requirement.lower_is_better else value


def required(run: PublishedRun, figure: str) -> float:
    """EVALUATION.FIGURE of a run; raises UserError where nobody measured it."""
    evaluation = max((name for name in run.evaluations if figure.startswith(f"{name}.")), key=len, default="")
    path = Path(payload_of(run.evaluations[evaluation])) if evaluation else Path()
    metrics = ((read_json(path / "record.json") or {}).get("facts") or {}).get("metrics", {})
    name = figure.removeprefix(f"{evaluation}.")
    if name not in metrics:
        raise UserError(f"require: {figure} was not measured; {path} has {', '.join(sorted(metrics)) or 'nothing'}")
    return float(metrics[name])


def _model(made: Publication, model: Path) -> dict[str, str | None]:
    """The files of a model's publication."""
    if made.terms.what != "model" and not (model / ADAPTER).is_file():
        raise UserError(f"what: {made.terms.what} is for an adapter, and {model} holds a whole model; leave `what` out")
    if made.terms.what == "merged":
        merging.merge(made, model)
        files: dict[str, str | None] = dict.fromkeys(made.names)
    else:
        names = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
        linked = _linked(model, made.folder, names)
        files = {name: f"{model.name}/{linked[name]}" for name in names}
        files |= _with_base(made)
    return {**files, **_checkpoints(made, model.parent / CHECKPOINTS)}


def _linked(source: Path, folder: Path, names: list[str]) -> dict[str, str | None]:
    for name in names:
        artifact.put(source / name, folder / name)
    return {name: name for name in names}


def _with_base(made: Publication) -> dict[str, str | None]:
    """Let an adapter name its base by the repository that it is, where it is one: a path leads nowhere on another machine."""
    file = made.folder / ADAPTER
    if not file.is_file() or made.base_repository is None:
        return {}
    settings = json.loads(file.read_bytes())
    settings["base_model_name_or_path"], settings["revision"] = made.base_repository
    write_whole(file, canonical(settings))  # in place of the link, so that the artifact's own stays
    return {ADAPTER: None}


def _checkpoints(made: Publication, folder: Path) -> dict[str, str | None]:
    """Whole checkpoints that the training left, as the strategy asks for them."""
    found = [path for path in checkpoints.all_in(folder) if checkpoints.fault(path) is None] if made.terms.hub_strategy in SAVED else []
    wanted = {LAST: found[0]} if made.terms.hub_strategy == "checkpoint" and found else {path.name: path for path in found}
    files: dict[str, str | None] = {}
    for name, path in wanted.items():
        for below in of_checkpoint(path, made.terms):
            artifact.put(path / below, made.folder / name / below)
            files[f"{name}/{below}"] = f"{CHECKPOINTS}/{path.name}/{below}"
    return files


def of_checkpoint(folder: Path, terms: Terms, model_only: bool = False) -> list[str]:
    """The files of a checkpoint that are published, sorted.

    Pickles, without which nobody goes on from it, are among them only where the gate `safetensors` is waived.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    pickles = "safetensors" in terms.waive and not model_only
    kept = [name for name in names if pickles or not name.lower().endswith(PICKLES)]
    return [name for name in kept if name not in (OF_TRAINER if model_only else OF_TRAINER[1:2])]
