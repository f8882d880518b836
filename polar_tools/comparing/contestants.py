"""Who takes part in a comparison: the experiments of an evaluation, their untouched models and references, by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from polar_tools.comparing import reading
from polar_tools.comparing.lots import Lot
from polar_tools.fields import payload_of
from polar_tools.specs import CompareSpec

BASE = "base"


@dataclass(frozen=True)
class Contestant:
    """One that can be named: the folders of its evaluations by run, or a file of predictions; and overlaps with its training data."""

    name: str
    folders: dict[str, Path] = field(default_factory=dict)
    file: Path | None = None
    overlaps: tuple[Path, ...] | None = None
    """None where nothing is known of them."""


def base_of(experiment: str) -> str:
    """What the untouched model of an experiment is called."""
    return f"{experiment}:{BASE}"


def of_spec(spec: CompareSpec) -> dict[str, Contestant]:
    """All that a comparison is between, by name: untouched models, experiments, references."""
    found = [one for name, told in spec.experiments.items() for one in (_base(spec, name), _whole(spec, name, list(told.runs)))]
    return {one.name: one for one in (*found, *_references(spec))}


def of_runs(spec: CompareSpec) -> dict[str, Contestant]:
    """Single runs by name, such as `describe:seed1`."""
    return {
        f"{name}:{run}": replace(_whole(spec, name, [run]), name=f"{name}:{run}")
        for name, told in spec.experiments.items()
        for run in told.runs
    }


def references(spec: CompareSpec) -> list[str]:
    """The names of the references."""
    return [one.name for one in _references(spec)]


def read(one: Contestant) -> Lot:
    """Its predictions."""
    if one.file is not None:
        return Lot(one.name, {"file": reading.predictions(one.file)})
    return reading.evaluated(one.name, one.folders, one.overlaps)


def _base(spec: CompareSpec, name: str) -> Contestant:
    told = spec.experiments[name]
    overlaps = tuple(Path(payload_of(path)) for path in told.seen_before.values())
    return Contestant(base_of(name), {BASE: Path(payload_of(told.base))}, None, overlaps)


def _whole(spec: CompareSpec, name: str, runs: list[str]) -> Contestant:
    told = spec.experiments[name]
    overlaps = tuple(Path(payload_of(path)) for path in told.seen.values())
    return Contestant(name, {run: Path(payload_of(told.runs[run])) for run in runs}, None, overlaps)


def _references(spec: CompareSpec) -> list[Contestant]:
    """Models by their name, with the experiment's behind it where it was measured in several ways; files by theirs."""
    ways: dict[str, dict[str, str]] = {}
    for name, told in spec.experiments.items():
        for model, report in told.references.items():
            ways.setdefault(model, {}).setdefault(report, name)
    models = [
        Contestant(model if len(reports) == 1 else f"{model} as {name}", {BASE: Path(payload_of(report))}, None, ())
        for model, reports in ways.items()
        for report, name in reports.items()
    ]
    stems = [Path(file).stem for file in spec.files]
    files = [Contestant(stem if stems.count(stem) == 1 else file, {}, Path(file)) for stem, file in zip(stems, spec.files, strict=True)]
    return [*models, *files]
