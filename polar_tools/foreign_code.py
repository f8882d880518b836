"""Code that comes with a model runs only where nobody can change it unseen: its source is pinned, or lies on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polar_tools.config import Config
from polar_tools.errors import ConfigError
from polar_tools.fields import Ref, marked

PINNED = (r"hf://.*@[0-9a-f]{40}", r"pypi://.*", r"file://.*")
"""A commit; a release, which has a sha256 beside it; files of your own."""


def check(config: Config) -> None:
    """Raise ConfigError for experiments with `trust_remote_code` of models that aren't pinned."""
    problems = [
        f"experiments.{name}.trust_remote_code: would run whatever code {source} has tomorrow; pin it by a commit: hf://ORG/NAME@COMMIT"
        for name, experiment in config.experiments.items()
        if experiment.trust_remote_code
        for source in sorted(set(_sources(config, name)))
        if not any(re.fullmatch(pattern, source) for pattern in PINNED)
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def _sources(config: Config, experiment: str) -> Iterator[str]:
    """Where the models of an experiment come from, and those of the experiments that they were trained in."""
    for evaluation in config.experiments[experiment].evaluations:
        for reference in config.evaluations[evaluation].references:
            if reference in config.models:
                yield from _addresses(config, reference)
    for _, ref, name in marked(config.experiments[experiment], Ref):
        if "models" not in ref.sections:
            continue
        if name in config.models:
            yield from _addresses(config, name)
        else:
            yield from _sources(config, name)


def _addresses(config: Config, model: str) -> Iterator[str]:
    """Where a model and its parts come from."""
    yield config.models[model].address()
    for owner in config.models[model].parts().values():
        if owner in config.models:
            yield from _addresses(config, owner)
        else:
            yield owner
