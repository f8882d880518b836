"""Publish a finished artifact that no `publish:` names: the publication that a person means, beside the config that made it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polar_tools import artifact, provenance, storage
from polar_tools import config as configs
from polar_tools.errors import UserError
from polar_tools.plan import PUBLICATIONS, Plan
from polar_tools.specs import MixSpec, PrepareSpec, ReportSpec, Spec, TrainSpec

CONFIGS = ("config.yaml", "config/config.yaml")
"""Where the config that made an artifact is looked for: as a training on its own, and as a project has it."""


def planned(folder: Path, targets: Sequence[str], config: Path | None, name: str | None, fields: Mapping[str, Any]) -> tuple[Path, str]:
    """The working directory of a finished artifact, and below it the publication of it that is planned there, with its spec.json.

    `fields` are those of a publication. Raises UserError where no config is found that made the artifact, ConfigError for wrong fields.
    """
    found = provenance.artifacts_in(folder)[0].resolve()
    root = provenance.root_of(found)
    file = config.resolve() if config else next((root / one for one in CONFIGS if (root / one).is_file()), None)
    if file is None:
        raise UserError(f"there is no {' or '.join(CONFIGS)} in {root}; name the config that made {folder} by --config")
    path, told = found.relative_to(root).as_posix(), configs.read(file)
    given = _targets(targets)  # what is relative is so here, not there
    with contextlib.chdir(root):
        plan = Plan(configs.parse(told, str(file)))
        if path not in plan.artifacts:
            raise UserError(f"{file} makes no {path}; name the config that made it by --config")
        what, usual = _what(path, plan.artifacts[path].spec)
        name = name or usual
        if name in plan.config.publish:
            raise UserError(f"{file} publishes `{name}` itself (polar-tools publish {PUBLICATIONS}/{name}); choose another --name")
        told = {**told, "publish": {name: {**fields, **what, **given}}}
        made = Plan(configs.parse(told, str(file))).artifacts[f"{PUBLICATIONS}/{name}"]
        artifact.settle(Path(made.path), made.frozen, made.spec, artifact.Records())
    return root, made.path


def _what(path: str, spec: Spec) -> tuple[dict[str, Any], str]:
    """The fields that say what is published, and what it is called; raises UserError for what isn't published."""
    parts = path.split("/")
    if isinstance(spec, TrainSpec):
        return {"experiment": parts[1], "seed": spec.seed}, parts[1]
    if isinstance(spec, PrepareSpec | MixSpec):
        return {"dataset": parts[2]}, parts[2]
    if isinstance(spec, ReportSpec):
        return {"report": True}, "report"
    raise UserError(f"{path} is of the stage `{spec.stage}`; a training, a prepared dataset and the report can be published")


def _targets(given: Sequence[str]) -> dict[str, Any]:
    """The fields that say where to; raises UserError for two of a kind."""
    found: dict[str, Any] = {}
    for target in given:
        uri = storage.as_uri(target)
        scheme, _, place = uri.partition("://")
        ways: dict[str, dict[str, Any]] = {
            "hf": {"push_to_hub": True, "hub_model_id": place.removeprefix("datasets/").removeprefix("spaces/")},
            "s3": {"push_to_minio": True, "minio_model_save_bucket": place.rstrip("/")},
            "file": {"folder": str(Path(place).resolve())},
        }
        if scheme not in ways:
            raise UserError(f"`{target}`: publish on the Hub (ORG/NAME), in a bucket (s3://BUCKET/PREFIX) or in a folder (./PATH)")
        if set(ways[scheme]) & set(found):
            raise UserError(f"`{target}`: there is another target of that kind; publish them one after the other, each under a --name")
        found |= ways[scheme]
    return found
