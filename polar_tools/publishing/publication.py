"""What is about to be published: a folder, of which artifact it is, and everything that stands behind that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from polar_tools.artifact import canonical
from polar_tools.exhibits.chain import sources
from polar_tools.fields import payload_of
from polar_tools.provenance import Node, lineage
from polar_tools.publication_config import Terms
from polar_tools.specs import MirrorSpec, PublishSpec, TrainSpec, thaw

CARD = "README.md"


@dataclass(frozen=True)
class Parcel:
    """A folder that is about to be sent somewhere, and under which terms."""

    folder: Path
    terms: Terms

    @property
    def names(self) -> list[str]:
        """Its files as paths below it, sorted."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Publication(Parcel):
    """A parcel of a finished artifact."""

    spec: PublishSpec
    node: Node
    """The artifact, with its chain."""
    run: str | None = None
    """Which run of an experiment it is."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """Published file -> file of the artifact; None for one that was made for the publication."""
    repository: str = ""
    """What it is loaded by: ORG/NAME on the Hub, or where else it goes."""

    @property
    def artifact(self) -> str:
        """Path of the artifact."""
        return self.node.path

    @cached_property
    def training(self) -> TrainSpec | None:
        """What the training was told, where it is one."""
        found = thaw(canonical(self.node.record["spec"]), self.node.path)
        return found if isinstance(found, TrainSpec) else None

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.node.path.split("/")[1]

    @cached_property
    def evaluations(self) -> dict[str, Node]:
        """What was measured of it, by evaluation."""
        return {} if self.run is None else {name: _of(path) for name, path in self.spec.runs[self.run].evaluations.items()}

    @cached_property
    def base(self) -> dict[str, Node]:
        """What was measured before its training, by evaluation."""
        return {name: _of(path) for name, path in self.spec.base.items()}

    @property
    def sources(self) -> list[Node]:
        """The mirrored sources that it was made from; those of evaluations alone are none."""
        return sources(self.node)

    def input(self, payload: str) -> Node:
        """The artifact behind a path that its spec names."""
        return next(node for node in self.node.inputs if node.path == payload_of(payload))

    @property
    def base_repository(self) -> tuple[str, str] | None:
        """ORG/NAME and commit of what its training started from, where that is a repository of the Hub as it stands there."""
        if self.training is None:
            return None
        return repository(self.input(self.training.experiment.model))


def repository(node: Node) -> tuple[str, str] | None:
    """ORG/NAME and commit of a mirrored repository of the Hub; None for what is none."""
    if node.record["spec"]["stage"] != MirrorSpec.model_fields["stage"].default or not node.record["spec"]["source"].startswith("hf://"):
        return None
    address: dict[str, Any] = node.record["facts"]["source"]
    name = address["source"].removeprefix("hf://").removeprefix("datasets/").removeprefix("models/").partition("@")[0]
    return name, str(address.get("commit", ""))


def _of(path: str) -> Node:
    return lineage(Path(payload_of(path)))
