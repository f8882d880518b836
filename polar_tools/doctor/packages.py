"""Installed packages: what can be done with those that are here, and which a config needs besides."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from polar_tools.config import Config
from polar_tools.doctor.base import Asked, Finding
from polar_tools.methods.base import Config as Experiment
from polar_tools.training import optimizers

PURPOSES = {
    "s3": "s3:// sources and targets",
    "workflow": "snakemake",
    "prepare": "datasets",
    "train": "trainings",
    "embed": "sentence_transformer and cross_encoder",
    "evaluate": "measurements and reports",
    "quantize": "bases in 8 or 4 bits, 8-bit optimizers",
    "distributed": "DeepSpeed",
    "optimizers": "stable_adamw and others of torch-optimi",
    "harness": "tasks of lm-evaluation-harness",
    "korean": "ROUGE by morphemes",
    "track": "MLflow, W&B, TensorBoard",
    "sign": "signed publications",
    "archive": "results as an RO-Crate",
    "dvc": "results tracked by DVC",
}
"""Extra -> what it is for."""
PROJECT = "polar-tools"
MORPHEMES = "morpheme"


def look(asked: Asked) -> Iterator[Finding]:
    """Each extra: there with its main packages' versions, or missing, which is a problem where the config needs it."""
    needed = {} if asked.config is None else dict(_needed(asked.config))
    for extra, purpose in PURPOSES.items():
        if not (packages := _packages(extra)):
            continue  # what is installed is older than this list
        missing = [name for name in packages if not _version(name)]
        if not missing:
            versions = ", ".join(f"{name} {_version(name)}" for name in packages[:3])
            yield Finding(extra, "good", f"{purpose}: {versions}")
        else:
            install = f"{', '.join(missing)} missing: pip install '{PROJECT}[{extra}]'"
            why = f"{needed[extra]} needs it; " if extra in needed else f"{purpose}: "
            yield Finding(extra, "problem" if extra in needed else "note", why + install)
    if asked.config is not None:
        yield from _of_optimizers(asked.config)


def _needed(config: Config) -> Iterator[tuple[str, str]]:
    """Extra -> the place in the config that needs it."""
    sources = [*config.models.items(), *config.datasets.items()]
    yield from (("s3", f"the source of `{name}`") for name, source in sources if source.source.startswith("s3://"))
    yield "workflow", "a config"
    if config.datasets:
        yield "prepare", "datasets"
    for name, evaluation in config.evaluations.items():
        tokenizers = {metric.model_dump().get("tokenizer") for metric in evaluation.metrics}
        wanted = (("harness", evaluation.tasks), ("korean", MORPHEMES in tokenizers))
        yield from ((extra, f"evaluations.{name}") for extra, needed in wanted if needed)
    if config.run.trackers:
        yield "track", "run.trackers"
    for name, publication in config.publish.items():
        yield from (
            (extra, f"publish.{name}") for extra, wanted in (("s3", publication.push_to_minio), ("sign", publication.sign)) if wanted
        )
    for name, experiment in config.experiments.items():
        yield from ((extra, f"experiments.{name}") for extra in ("train", "evaluate", *_of(experiment)))


def _of(experiment: Experiment) -> Iterator[str]:
    if experiment.method in ("sentence_transformer", "cross_encoder"):
        yield "embed"
    if experiment.quantization or _package(experiment.optim) == f"{PROJECT}[quantize]":
        yield "quantize"
    if _package(experiment.optim) == f"{PROJECT}[optimizers]":
        yield "optimizers"
    if experiment.deepspeed is not None:
        yield "distributed"


def _package(optim: str) -> str | None:
    """What an optimizer needs besides torch, by how it is installed."""
    return next((package for beginning, (_, package) in optimizers.PACKAGES.items() if optim.startswith(beginning)), None)


def _of_optimizers(config: Config) -> Iterator[Finding]:
    """Optimizers of packages that are no part of an extra."""
    for name, experiment in config.experiments.items():
        package = _package(experiment.optim)
        if package is not None and not package.startswith(PROJECT) and not _version(package):
            said = f"experiments.{name} needs {package} for `optim: {experiment.optim}`: pip install '{package}'"
            yield Finding("optim", "problem", said)


def _packages(extra: str) -> list[str]:
    """The packages of an extra."""
    from packaging.requirements import Requirement

    requirements = map(Requirement, metadata.requires(PROJECT) or ())
    return [one.name for one in requirements if one.marker is not None and one.marker.evaluate({"extra": extra})]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
