"""What a report shows of experiments, read off their records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from polar_tools import discovery, scores
from polar_tools.artifact import canonical
from polar_tools.fields import documentation, payload_of
from polar_tools.provenance import Node
from polar_tools.scores import Score
from polar_tools.specs import DecontaminateSpec, EvaluateSpec, Reported, TrainSpec, thaw, visible


@dataclass(frozen=True)
class Link:
    """One place of a chain as it is shown: `parts` is None where the artifact was shown above."""

    node: Node
    parts: tuple[Link, ...] | None


@dataclass(frozen=True)
class Sample:
    """One test row with what the untouched and the trained model made of it."""

    input: str
    reference: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Overlap:
    """What a dataset that was trained on has in common with the test rows, and how many of its rows were left out for it."""

    dataset: str
    node: Node
    dropped: int

    @property
    def test(self) -> dict[str, int]:
        """Counts of test rows."""
        counts: dict[str, int] = self.node.record["facts"]["test"]
        return counts

    @property
    def training_rows(self) -> int:
        """Rows of the dataset that overlap."""
        return int(self.node.record["facts"]["training"]["overlapping"])


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one experiment."""

    name: str
    base: Node
    runs: dict[str, Node]
    samples: tuple[Sample, ...]
    overlaps: tuple[Overlap, ...]

    @cached_property
    def spec(self) -> EvaluateSpec:
        """What it was told; that of the untouched model stands for all."""
        spec = thaw(canonical(self.base.record["spec"]), self.base.path)
        assert isinstance(spec, EvaluateSpec)
        return spec

    @property
    def chains(self) -> dict[str, Link]:
        """Run -> from what its numbers were made, the longest ways first."""
        return {run: link(node, set()) for run, node in {"base": self.base, **self.runs}.items()}

    @property
    def rows(self) -> int:
        """Test rows."""
        return int(self.base.record["facts"]["rows"])

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Run -> metric -> number; `base` is the untouched model."""
        return {run: node.record["facts"]["metrics"] for run, node in {"base": self.base, **self.runs}.items()}

    @property
    def scores(self) -> list[Score]:
        """Every metric, before and after."""
        return scores.compare(self.figures, self.base.record["facts"]["given_by"])

    @property
    def generation(self) -> dict[str, Any]:
        """How the models wrote, where it isn't the default."""
        return self.spec.generation.model_dump(exclude_defaults=True)


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
    """One experiment as the page shows it; `trainings` are nodes by run."""

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
        return spec

    @property
    def watched(self) -> bool:
        """Whether datasets were looked at while it trained."""
        return self.spec.experiment.eval_strategy != "no"

    @property
    def about(self) -> str:
        """What its method does, in the method's own words."""
        return first_line(discovery.load("methods", self.told.method).__doc__)

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
    def schedule(self) -> str:
        """How much it was trained."""
        config, facts = self.spec.experiment, next(iter(self.trainings.values())).record["facts"]
        steps = f"{facts['steps']:,} steps" if "steps" in facts else f"{config.num_train_epochs:g} epochs"
        rows = config.per_device_train_batch_size * config.gradient_accumulation_steps * config.data_parallel_size
        return f"{steps} of {rows} row{'s' if rows > 1 else ''}"

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

    @property
    def tokens(self) -> dict[str, Any]:
        """What the stage tokenize counted."""
        facts: dict[str, Any] = self._input(self.spec.tokenizer).record["facts"]
        return facts

    def _input(self, payload: str) -> Node:
        return next(node for node in walk(next(iter(self.trainings.values()))) if node.path == payload_of(payload))


def walk(*ends: Node) -> Iterator[Node]:
    """Chains from their ends down to their sources, each artifact once."""
    waiting, seen = list(ends), set[str]()
    while waiting:
        node = waiting.pop()
        if node.path not in seen:
            seen.add(node.path)
            yield node
            waiting += node.inputs


def link(node: Node, seen: set[str]) -> Link:
    """The chain of `node`, but for what was `seen` already."""
    if node.path in seen:
        return Link(node, None)
    seen.add(node.path)
    longest_first = sorted(node.inputs, key=lambda part: -len(list(walk(part))))
    return Link(node, tuple(link(part, seen) for part in longest_first))


def first_line(text: str | None) -> str:
    """What a documentation says first."""
    return (text or "").strip().partition("\n")[0]
