"""One experiment as a page shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from polar_tools import auto_preset, costs, diagnosing
from polar_tools.artifact import canonical, read_json
from polar_tools.costs import Cost
from polar_tools.diagnosis.base import Finding
from polar_tools.exhibits.chain import first_line, sources, walk
from polar_tools.exhibits.evaluation import Evaluation
from polar_tools.fields import documentation, payload_of
from polar_tools.provenance import Node
from polar_tools.specs import DecontaminateSpec, Reported, TrainSpec, thaw, visible

OWN_STAGES = ("rank", "tokenize", "train", "evaluate", "harness")
"""Stages whose artifacts are an experiment's own, so that it pays for them."""


@dataclass(frozen=True)
class Step:
    """Rows that a step left of the data, and how many it removed; `percent` of the first step's."""

    name: str
    rows: int
    removed: int
    percent: float
    kept: bool = False


@dataclass(frozen=True)
class Setting:
    """One field of an experiment, with what it means."""

    name: str
    value: Any
    meaning: str
    default: Any

    @property
    def is_default(self) -> bool:
        """Whether it is as if it had not been written."""
        return bool(self.value == self.default)

    @property
    def shown(self) -> str:
        """As it is written in a config."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False, default=BaseModel.model_dump)


@dataclass(frozen=True)
class Experiment:
    """One experiment; `trainings` are nodes by run, `curve` is a drawing of their losses, or empty."""

    name: str
    told: Reported
    trainings: dict[str, Node]
    curve: str
    evaluations: tuple[Evaluation, ...]

    @cached_property
    def spec(self) -> TrainSpec:
        """What its first training was told; the others differ in the seed."""
        first = next(iter(self.trainings.values()))
        spec = thaw(canonical(first.record["spec"]), first.path)
        assert isinstance(spec, TrainSpec)
        return auto_preset.settled(spec)

    @cached_property
    def findings(self) -> dict[str, Mapping[str, Finding]]:
        """Run -> what diagnoses found."""
        return {run: diagnosing.findings(diagnosing.read(Path(node.path))) for run, node in self.trainings.items()}

    @property
    def found(self) -> int:
        """How many diagnoses found something in any run."""
        return len({name for found in self.findings.values() for name in found})

    @cached_property
    def ends(self) -> list[Node]:
        """What was made last: the trainings, and their evaluations."""
        measured = [node for evaluation in self.evaluations for node in evaluation.nodes.values()]
        return [*self.trainings.values(), *measured]

    @property
    def sources(self) -> list[Node]:
        """The mirrored sources that it was made from."""
        return sources(*self.ends)

    @cached_property
    def costs(self) -> list[Cost]:
        """What its own artifacts cost, in the order of the work."""
        own = [node for node in walk(*self.ends) if node.path.split("/")[1] == self.name and node.record["spec"]["stage"] in OWN_STAGES]
        inorder = sorted(own, key=lambda node: (OWN_STAGES.index(node.record["spec"]["stage"]), node.path))
        return [costs.of(node.path, node.record["spec"]["stage"]) for node in inorder]

    @property
    def cost(self) -> Cost:
        """All of it together."""
        return costs.total(self.costs, self.name)

    @property
    def watched(self) -> bool:
        """Whether datasets were looked at while it trained."""
        return self.spec.experiment.eval_strategy != "no"

    @property
    def settings(self) -> list[Setting]:
        """Every field but those that lead to other artifacts."""
        config = self.spec.experiment
        meanings = documentation(type(config))
        return [
            Setting(name, getattr(config, name), first_line(meanings.get(name)), field.get_default(call_default_factory=True))
            for name, field in type(config).model_fields.items()
            if name in visible(type(config), "train") - {"method", "model", "dataset"}
        ]

    @property
    def model(self) -> Node:
        """What the trainings start from."""
        return self._input(self.spec.experiment.model)

    @property
    def dataset(self) -> Node:
        """What they learn, as it was prepared."""
        data = self._input(self.spec.experiment.dataset)
        return data if self.cleaned is None else self._input(self.cleaned.record["spec"]["dataset"])

    @property
    def cleaned(self) -> Node | None:
        """What they learn, where rows were left out because they overlap."""
        data = self._input(self.spec.experiment.dataset)
        return data if data.record["spec"]["stage"] == DecontaminateSpec.model_fields["stage"].default else None

    @property
    def facts(self) -> dict[str, Any]:
        """What the first training found out."""
        facts: dict[str, Any] = next(iter(self.trainings.values())).record["facts"]
        return facts

    @property
    def batch(self) -> int:
        """Rows of an optimizer step."""
        config = self.spec.experiment
        return int(config.per_device_train_batch_size * config.gradient_accumulation_steps * config.data_parallel_size)

    @property
    def versions(self) -> dict[str, str]:
        """The libraries it was made with."""
        versions: dict[str, str] = next(iter(self.trainings.values())).record["versions"]
        return versions

    @property
    def funnel(self) -> Iterator[Step]:
        """From source to split."""
        steps = self.dataset.record["facts"]["funnel"]
        whole = steps[0]["rows"]
        for step in steps:
            removed = self.cleaned.record["facts"]["dropped"] if self.cleaned and step["step"] == "train" and step["kept"] else 0
            rows = step["rows"] - removed
            yield Step(step["step"], rows, step["removed"] + removed, round(100 * rows / whole, 2), step["kept"])

    @property
    def overlapping(self) -> bool:
        """Whether a test row has text in common with rows that were prepared to be trained on."""
        return any(overlap.test["overlapping"] for evaluation in self.evaluations for overlap in evaluation.overlaps)

    @cached_property
    def tokens(self) -> dict[str, Any]:
        """What the stage tokenize counted."""
        node = self._input(self.spec.tokenizer)
        facts: dict[str, Any] = node.record["facts"]
        return {**facts, **(read_json(Path(node.path) / "report.json") or {})}

    def _input(self, payload: str) -> Node:
        return next(node for node in walk(next(iter(self.trainings.values()))) if node.path == payload_of(payload))
