"""Lay all results before a reader: one page that needs no network, and the same figures for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polar_tools import charts, discovery, learning_curves, pages, provenance
from polar_tools.artifact import Facts, canonical
from polar_tools.exhibits import Evaluation, Experiment, Overlap, Sample, first_line, walk
from polar_tools.fields import payload_of
from polar_tools.metrics.base import Options, Prediction
from polar_tools.provenance import Node
from polar_tools.specs import Measured, Reported, ReportSpec

LIBRARIES = (*charts.LIBRARIES, *pages.LIBRARIES)
SAMPLES = 8
"""How many test rows of each evaluation are shown."""
LONGEST_TEXT, MOST_FILES = 1000, 200
"""What is shown of a text (characters) and of a source (files), so that the page stays light."""


def run(spec: ReportSpec, folder: Path) -> Facts:
    """Write index.html, metrics.json ({experiment: {evaluation: {run: {figure: number}}}}) and loss.csv, for programs and DVC."""
    experiments = [_experiment(name, told) for name, told in spec.experiments.items()]
    figures = {one.name: {evaluation.name: evaluation.figures for evaluation in one.evaluations} for one in experiments}
    (folder / "metrics.json").write_bytes(canonical(figures))
    trainings = {one.name: {run: Path(node.path) for run, node in one.trainings.items()} for one in experiments}
    (folder / "loss.csv").write_text(learning_curves.table(trainings), encoding="utf-8", newline="\n")
    (folder / spec.PAYLOAD).write_text(_page(spec.project_name, experiments), encoding="utf-8", newline="\n")
    return Facts()


def _experiment(name: str, told: Reported) -> Experiment:
    trainings = {run: provenance.lineage(Path(payload_of(model))) for run, model in told.trainings.items()}
    lines = {run: learning_curves.read(Path(node.path) / "metrics.jsonl") for run, node in trainings.items()}
    logged = all(one.train for one in lines.values())
    curve = charts.curves(f"curve-{name}", learning_curves.drawn(lines), "optimizer step") if logged else ""
    return Experiment(name, told, trainings, curve, tuple(_evaluation(name, found) for name, found in told.evaluations.items()))


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


def _meaning(options: Options) -> tuple[str, str]:
    """A metric's name with its options, and what it measures."""
    chosen = [f"{name} {value}" for name, value in options.model_dump(mode="json", exclude={"name"}).items()]
    return ", ".join([options.name, *chosen]), first_line(discovery.load("metrics", options.name).__doc__)


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
