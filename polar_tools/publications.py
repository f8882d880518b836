"""What a publication is told: of which artifacts it is, under which terms, and the part of the config that decides them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from polar_tools.config import Config
from polar_tools.dataset_config import Dataset
from polar_tools.fields import Ref, marked
from polar_tools.publication_config import Publication
from polar_tools.specs import PublishedRun, PublishSpec, Reported, ReportSpec

REPORT = f"results/report/{ReportSpec.PAYLOAD}"
NOT_PUBLISHED = {"run", "publish"}
"""Sections of a config that change no result."""


def spec(config: Config, name: str, reported: dict[str, Reported], dataset: Callable[[str], str]) -> PublishSpec:
    """What the publication `name` is told; `reported` are the planned experiments, `dataset` plans a dataset and says where it lies."""
    one = config.publish[name]
    shared: dict[str, Any] = {
        "name": slug(f"{config.project_name}-{name}"),
        "project_name": config.project_name,
        "language": one.language or ("ko" if config.report_language == "ko" else "en"),
        "terms": one.terms(),
        "config": reduced(config, one),
        "licenses": {path: one.licenses[owner] for owner, path in _sources(config) if owner in one.licenses},
    }
    if one.experiment is not None:
        return PublishSpec(**shared, **_of_experiment(config, one, reported[one.experiment]))
    if one.dataset is not None:
        return PublishSpec(**shared, dataset=dataset(one.dataset))
    return PublishSpec(**shared, report=REPORT)


def slug(text: str) -> str:
    """`text` as a repository or a bucket may be called."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._") or "polar"


def _of_experiment(config: Config, one: Publication, told: Reported) -> dict[str, Any]:
    seed = config.experiments[one.experiment or ""].seeds[0] if one.seed is None else one.seed
    chosen = list(told.trainings) if seed == "best" else [f"seed{seed}"]
    measured = told.evaluations
    runs = {
        run: PublishedRun(model=told.trainings[run], evaluations={name: found.runs[run] for name, found in measured.items()})
        for run in chosen
    }
    return {"runs": runs, "base": {name: found.base for name, found in measured.items()}}


def _sources(config: Config) -> Iterator[tuple[str, str]]:
    """Model or dataset -> the artifact that its source is mirrored to."""
    yield from ((name, f"resources/models/{name}") for name in config.models)
    for name in config.datasets:
        owner = name
        while config.datasets[owner].source in config.datasets:
            owner = config.datasets[owner].source
        yield name, f"resources/datasets/{owner}"


def reduced(config: Config, one: Publication) -> dict[str, Any]:
    """The config as far as it decides a publication's artifact and what was measured of it, as a person would write it.

    What it plans there is what the whole plans.
    """
    if one.report:
        kept = config
    elif one.experiment is not None:
        kept = _parts(config, _experiments(config, one.experiment), one.experiment)
    else:
        kept = _parts(config, [], None, [one.dataset or ""])
    sections: dict[str, Any] = kept.model_dump(mode="json", exclude_unset=True, exclude=NOT_PUBLISHED)
    return {name: section for name, section in sections.items() if section != {}}


def _parts(config: Config, experiments: list[str], measured: str | None, datasets: Iterable[str] = ()) -> Config:
    """The config with these experiments and datasets, and with whatever these need."""
    trained = {name: config.experiments[name].model_copy(update={} if name == measured else {"evaluations": ()}) for name in experiments}
    rows = _with_sources(config, [*datasets, *(other for one in trained.values() for other in _named(one, "datasets"))])
    evaluations = {*(config.experiments[measured].evaluations if measured else ()), *_decontaminating(config, rows)}
    rows = _with_sources(config, [*rows, *(config.evaluations[name].dataset or "" for name in evaluations)])
    models = _with_parts(config, [other for one in trained.values() for other in _named(one, "models") if other in config.models])
    return config.model_copy(
        update={
            "models": {name: model for name, model in config.models.items() if name in models},
            "datasets": {name: dataset for name, dataset in config.datasets.items() if name in rows},
            "mixtures": {name: mixture for name, mixture in config.mixtures.items() if name in rows},
            "evaluations": {
                name: evaluation.model_copy(update={"references": ()})
                for name, evaluation in config.evaluations.items()
                if name in evaluations
            },
            "experiments": trained,
        }
    )


def _named(part: Any, section: str) -> list[str]:
    """The entries of a section that a part of the config names."""
    return [name for _, ref, name in marked(part, Ref) if section in ref.sections]


def _experiments(config: Config, name: str) -> list[str]:
    """An experiment and those that it starts from, in the order of the config."""
    found, waiting = {name}, [name]
    while waiting:
        fresh = [parent for parent in config.parents(waiting.pop()) if parent not in found]
        found |= set(fresh)
        waiting += fresh
    return [one for one in config.experiments if one in found]


def _with_sources(config: Config, names: Iterable[str]) -> set[str]:
    """Datasets and mixtures, with those that they are made of."""
    found: set[str] = set()
    waiting = [name for name in names if name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in config.mixtures:
            waiting += [part.dataset for part in config.mixtures[name].parts]
        else:
            waiting += [other for other in _sources_of(config.datasets[name]) if other in config.datasets]
    return found


def _sources_of(dataset: Dataset) -> list[str]:
    return [dataset.source, *([dataset.test_source] if dataset.test_source else [])]


def _decontaminating(config: Config, names: Iterable[str]) -> set[str]:
    """Evaluations whose rows decide which rows of these datasets are trained on."""
    options = [config.prepared(name).decontaminate for name in names]
    return {
        evaluation
        for evaluation in config.evaluations
        if config.evaluations[evaluation].dataset and any(one.policy == "drop" and one.counts(evaluation) for one in options)
    }


def _with_parts(config: Config, names: Iterable[str]) -> set[str]:
    """Models, with those whose parts they take."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [owner for owner in config.models[name].parts().values() if owner in config.models]
    return found
