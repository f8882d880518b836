"""Lay all results before a reader: one page that needs no network, and the same figures for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from polar_tools import charts, discovery, pages, provenance, scores
from polar_tools.artifact import Facts, canonical
from polar_tools.fields import documentation, payload_of
from polar_tools.metrics.base import Options, Prediction
from polar_tools.provenance import Node
from polar_tools.scores import Score
from polar_tools.specs import DecontaminateSpec, EvaluateSpec, Measured, Reported, ReportSpec, TrainSpec, thaw, visible

LIBRARIES = (*charts.LIBRARIES, *pages.LIBRARIES)
SAMPLES = 8
"""How many test rows of each evaluation are shown."""
LONGEST_TEXT, MOST_FILES = 1000, 200
"""What is shown of a text (characters) and of a source (files), so that the page stays light."""


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
        return {run: _link(node, set()) for run, node in {"base": self.base, **self.runs}.items()}

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
    def about(self) -> str:
        """What its method does, in the method's own words."""
        return _first_line(discovery.load("methods", self.told.method).__doc__)

    @property
    def settings(self) -> list[Setting]:
        """Every field but those that lead to other artifacts."""
        config = self.spec.experiment
        meanings = documentation(type(config))
        return [
            Setting(name, getattr(config, name), _first_line(meanings.get(name)), field.get_default(call_default_factory=True))
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
        rows = config.per_device_train_batch_size * config.gradient_accumulation_steps * config.world_size
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


def run(spec: ReportSpec, folder: Path) -> Facts:
    """Write index.html, metrics.json ({experiment: {evaluation: {run: {figure: number}}}}) and loss.csv, for programs and DVC."""
    experiments = [_experiment(name, told) for name, told in spec.experiments.items()]
    figures = {one.name: {evaluation.name: evaluation.figures for evaluation in one.evaluations} for one in experiments}
    (folder / "metrics.json").write_bytes(canonical(figures))
    (folder / "loss.csv").write_text("".join(_loss_rows(experiments)), encoding="utf-8", newline="\n")
    (folder / spec.PAYLOAD).write_text(_page(spec.project_name, experiments), encoding="utf-8", newline="\n")
    return Facts()


def walk(*ends: Node) -> Iterator[Node]:
    """Chains from their ends down to their sources, each artifact once."""
    waiting, seen = list(ends), set[str]()
    while waiting:
        node = waiting.pop()
        if node.path not in seen:
            seen.add(node.path)
            yield node
            waiting += node.inputs


def _link(node: Node, seen: set[str]) -> Link:
    if node.path in seen:
        return Link(node, None)
    seen.add(node.path)
    longest_first = sorted(node.inputs, key=lambda part: -len(list(walk(part))))
    return Link(node, tuple(_link(part, seen) for part in longest_first))


def _experiment(name: str, told: Reported) -> Experiment:
    trainings = {run: provenance.lineage(Path(payload_of(model))) for run, model in told.trainings.items()}
    points = {run: _losses(Path(node.path) / "metrics.jsonl") for run, node in trainings.items()}
    curve = charts.curves(f"curve-{name}", points, "optimizer step") if all(points.values()) else ""
    return Experiment(name, told, trainings, curve, tuple(_evaluation(name, found) for name, found in told.evaluations.items()))


def _loss_rows(experiments: Sequence[Experiment]) -> Iterator[str]:
    """The curves as the lines of a table."""
    yield "experiment,run,step,loss\n"
    for one in experiments:
        for run, node in one.trainings.items():
            yield from (f"{one.name},{run},{step},{loss}\n" for step, loss in _losses(Path(node.path) / "metrics.jsonl"))


def _losses(file: Path) -> list[tuple[float, float]]:
    """(step, loss) of every logged step."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def _evaluation(name: str, measured: Measured) -> Evaluation:
    runs = {run: provenance.lineage(Path(payload_of(report))) for run, report in measured.runs.items()}
    base = provenance.lineage(Path(payload_of(measured.base)))
    overlaps = (_overlap(dataset, Path(payload_of(path)), list(runs.values())) for dataset, path in measured.overlaps.items())
    return Evaluation(name, base, runs, tuple(_samples(base, next(iter(runs.values())))), tuple(overlaps))


def _overlap(dataset: str, folder: Path, trained: Sequence[Node]) -> Overlap:
    node = provenance.lineage(folder)
    cleanings = (above for above in walk(*trained) if node.path in above.record["inputs"])
    dropped = [above.record["facts"]["by_evaluation"][folder.name] for above in cleanings]
    return Overlap(dataset, node, sum(dropped))


def _samples(base: Node, trained: Node) -> Iterator[Sample]:
    """Evenly spaced rows, so that nobody chose them."""
    before, after = _predictions(base), _predictions(trained)
    count = min(SAMPLES, len(before))
    for number in (place * len(before) // count for place in range(count)):
        row = before[number]
        texts = (row.input, row.reference, row.prediction, after[number].prediction)
        yield Sample(*map(_shortened, texts))


def _predictions(node: Node) -> list[Prediction]:
    with (Path(node.path) / "predictions.jsonl").open(encoding="utf-8") as lines:
        return [Prediction(**json.loads(line)) for line in lines]


def _shortened(text: str | None) -> Any:
    return text if text is None or len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _meaning(options: Options) -> tuple[str, str]:
    """A metric's name with its options, and what it measures."""
    chosen = [f"{name} {value}" for name, value in options.model_dump(mode="json", exclude={"name"}).items()]
    return ", ".join([options.name, *chosen]), _first_line(discovery.load("metrics", options.name).__doc__)


def _page(project_name: str, experiments: list[Experiment]) -> str:
    evaluations = [evaluation for one in experiments for evaluation in one.evaluations]
    ends = [node for one in experiments for node in one.trainings.values()]
    ends += [node for evaluation in evaluations for node in (evaluation.base, *evaluation.runs.values())]
    sources = {node.path: node for node in walk(*ends) if "source" in node.record["facts"]}
    return pages.render(
        "report.html.jinja",
        project_name=project_name,
        experiments=experiments,
        sources=[sources[path] for path in sorted(sources)],
        metrics=sorted({_meaning(options) for evaluation in evaluations for options in evaluation.spec.metrics}),
        most_files=MOST_FILES,
        has_majority=any(score.majority is not None for evaluation in evaluations for score in evaluation.scores),
        has_spread=any(score.spread is not None for evaluation in evaluations for score in evaluation.scores),
    )
