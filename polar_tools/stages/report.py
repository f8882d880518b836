"""Lay all results before a reader: one page that needs no network, and the same figures for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polar_tools import charts, discovery, provenance
from polar_tools.artifact import Facts, canonical
from polar_tools.fields import payload_of
from polar_tools.metrics.base import Prediction
from polar_tools.provenance import Node
from polar_tools.specs import EvaluateSpec, Measured, Reported, ReportSpec, TrainSpec, thaw

LIBRARIES = (*charts.LIBRARIES, "jinja2")
SAMPLES = 8
"""How many test rows of each evaluation are shown."""
MAJORITY = "majority_"
"""`majority_accuracy` is no result of a model but the bar that `accuracy` must clear."""
LOWER_IS_BETTER = ("loss", "perplexity")
LONGEST_TEXT, MOST_FILES = 1000, 200
"""What is shown of a text (characters) and of a source (files), so that the page stays light."""


@dataclass(frozen=True)
class Score:
    """One metric before and after: `after` by run, `majority` what a constant answer would reach."""

    name: str
    before: float
    after: dict[str, float]
    majority: float | None

    @property
    def lower_is_better(self) -> bool:
        """Whether less of it is more."""
        return self.name.endswith(LOWER_IS_BETTER)

    @property
    def is_share(self) -> bool:
        """Whether it is a score between 0 and 1, which people read times 100."""
        return not self.lower_is_better and all(0 <= value <= 1 for value in (self.before, *self.after.values()))

    @property
    def mean(self) -> float:
        """Over the runs."""
        return statistics.fmean(self.after.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over the runs, None where there is but one."""
        return statistics.stdev(self.after.values()) if len(self.after) > 1 else None

    @property
    def change(self) -> float:
        """From before to the mean after."""
        return self.mean - self.before

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `same`, as the reader sees it."""
        if not self.change:
            return "same"
        return "better" if (self.change < 0) == self.lower_is_better else "worse"

    def at(self, value: float) -> float:
        """Where `value` lies between 0 and 100 % of a bar: scores on their own scale, others against the largest."""
        largest = 1.0 if self.is_share else max(map(abs, (self.before, *self.after.values()))) or 1.0
        return round(100 * max(value, 0.0) / largest, 2)


@dataclass(frozen=True)
class Sample:
    """One test row with what the untouched and the trained model made of it."""

    number: int
    input: str
    reference: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one experiment."""

    name: str
    base: Node
    runs: dict[str, Node]
    samples: tuple[Sample, ...]

    @cached_property
    def spec(self) -> EvaluateSpec:
        """What it was told; that of the untouched model stands for all."""
        spec = thaw(canonical(self.base.record["spec"]), self.base.path)
        assert isinstance(spec, EvaluateSpec)
        return spec

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
        """Scores first, losses behind; a majority baseline stands beside its metric."""
        figures = self.figures
        before = figures.pop("base")
        scores = [
            Score(name, value, {run: found[name] for run, found in figures.items()}, before.get(MAJORITY + name))
            for name, value in before.items()
            if name.removeprefix(MAJORITY) == name or name.removeprefix(MAJORITY) not in before
        ]
        return sorted(scores, key=lambda score: (not score.is_share, score.name))


@dataclass(frozen=True)
class Setting:
    """One field of an experiment, with what it means."""

    name: str
    value: str
    meaning: str
    is_default: bool


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
        shown = [name for name in type(config).model_fields if name not in {"method", "model", "dataset", "evaluations", "seeds"}]
        return [_setting(name, getattr(config, name), type(config).model_fields[name]) for name in shown]

    @property
    def model(self) -> Node:
        """What the trainings start from."""
        return self._input(self.spec.experiment.model)

    @property
    def dataset(self) -> Node:
        """What they learn."""
        return self._input(self.spec.experiment.dataset)

    @property
    def tokens(self) -> dict[str, Any]:
        """What the stage tokenize counted."""
        facts: dict[str, Any] = self._input(self.spec.tokenizer).record["facts"]
        return facts

    def _input(self, payload: str) -> Node:
        return next(node for node in walk(next(iter(self.trainings.values()))) if node.path == payload_of(payload))


def run(spec: ReportSpec, folder: Path) -> Facts:
    """Write index.html and metrics.json: {experiment: {evaluation: {run: {metric: number}}}}, scores between 0 and 1."""
    experiments = [_experiment(name, told) for name, told in spec.experiments.items()]
    figures = {one.name: {evaluation.name: evaluation.figures for evaluation in one.evaluations} for one in experiments}
    (folder / "metrics.json").write_bytes(canonical(figures))
    (folder / spec.PAYLOAD).write_text(_page(spec.project_name, experiments), encoding="utf-8", newline="\n")
    return Facts()


def walk(node: Node) -> Iterator[Node]:
    """A chain from its end down to its sources; what several things were made from comes several times."""
    yield node
    for part in node.inputs:
        yield from walk(part)


def _experiment(name: str, told: Reported) -> Experiment:
    trainings = {run: provenance.lineage(Path(payload_of(model))) for run, model in told.trainings.items()}
    points = {run: _losses(Path(node.path) / "metrics.jsonl") for run, node in trainings.items()}
    curve = charts.curves(f"curve-{name}", points, "optimizer step", "training loss") if all(points.values()) else ""
    return Experiment(name, told, trainings, curve, tuple(_evaluation(name, found) for name, found in told.evaluations.items()))


def _losses(file: Path) -> list[tuple[float, float]]:
    """(step, loss) of every logged step."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def _evaluation(name: str, measured: Measured) -> Evaluation:
    runs = {run: provenance.lineage(Path(payload_of(report))) for run, report in measured.runs.items()}
    base = provenance.lineage(Path(payload_of(measured.base)))
    return Evaluation(name, base, runs, tuple(_samples(base, next(iter(runs.values())))))


def _samples(base: Node, trained: Node) -> Iterator[Sample]:
    """Evenly spaced rows, so that nobody chose them."""
    before, after = _predictions(base), _predictions(trained)
    count = min(SAMPLES, len(before))
    for number in (place * len(before) // count for place in range(count)):
        row = before[number]
        texts = (row.input, row.reference, row.prediction, after[number].prediction)
        yield Sample(number, *map(_shortened, texts))


def _predictions(node: Node) -> list[Prediction]:
    with (Path(node.path) / "predictions.jsonl").open(encoding="utf-8") as lines:
        return [Prediction(**json.loads(line)) for line in lines]


def _shortened(text: str | None) -> Any:
    return text if text is None or len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _setting(name: str, value: Any, field: Any) -> Setting:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Setting(name, text, _first_line(field.description), value == field.get_default(call_default_factory=True))


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _page(project_name: str, experiments: list[Experiment]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("polar_tools", "stages"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"plain": plain, "size": size}
    nodes = [node for one in experiments for run in one.evaluations for end in (run.base, *run.runs.values()) for node in walk(end)]
    nodes += [node for one in experiments for end in one.trainings.values() for node in walk(end)]
    sources = {node.path: node for node in nodes if "source" in node.record["facts"]}
    metrics = {options.name: options for one in experiments for evaluation in one.evaluations for options in evaluation.spec.metrics}
    return environment.get_template("report.html.jinja").render(
        project_name=project_name,
        experiments=experiments,
        sources=[sources[path] for path in sorted(sources)],
        metrics={name: _first_line(discovery.load("metrics", name).__doc__) for name in sorted(metrics)},
        most_files=MOST_FILES,
    )


def plain(value: float, signed: bool = False) -> str:
    """A number as people read it: as many digits as matter, a true minus."""
    text = f"{value:{'+' if signed else ''},.{3 if abs(value) < 10 else 1}f}"
    return text.replace("-", "−")


def size(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
