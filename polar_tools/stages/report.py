"""Lay all results before a reader: pages that need no network, in each language asked for, and the same figures for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polar_tools import charts, diagnosing, discovery, languages, learning_curves, pages, provenance
from polar_tools.artifact import Facts, canonical, read_json
from polar_tools.diagnosis.base import Words
from polar_tools.exhibits.chain import first_line, sources, walk
from polar_tools.exhibits.compared import Compared
from polar_tools.exhibits.evaluation import Evaluation, Overlap
from polar_tools.exhibits.experiment import Experiment
from polar_tools.fields import payload_of
from polar_tools.metrics.base import Options
from polar_tools.provenance import Node
from polar_tools.specs import Measured, Reported, ReportSpec

LIBRARIES = (*charts.LIBRARIES, *pages.LIBRARIES, "numpy")
MOST_FILES = 200
"""Files of a source that are shown, so that the page stays light."""
ENGLISH = "en"
WHOLE = "report.json"


def run(spec: ReportSpec, folder: Path) -> Facts:
    """Write index.html and a page an experiment; metrics.json ({experiment: {evaluation: {run: {figure: number}}}}), metrics.csv, loss.csv.

    report.json has everything that the pages show. It and the pages tell what was measured of the work (time, memory, energy), which
    differs from run to run.
    """
    experiments = [_experiment(name, told) for name, told in spec.experiments.items()]
    compared = [_compared(name, Path(payload_of(path))) for name, path in spec.comparisons.items()]
    figures = {one.name: {evaluation.name: evaluation.figures for evaluation in one.evaluations} for one in experiments}
    (folder / "metrics.json").write_bytes(canonical(figures))
    _write(folder / "metrics.csv", _table(experiments))
    trainings = {one.name: {run: Path(node.path) for run, node in one.trainings.items()} for one in experiments}
    _write(folder / "loss.csv", learning_curves.table(trainings))
    (folder / WHOLE).write_bytes(canonical(_whole(spec.project_name, experiments, compared)))
    written = [WHOLE]
    for name, page in _pages(spec, experiments, compared):
        _write(folder / name, page)
        written.append(name)
    return Facts(volatile=tuple(written))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")


def _experiment(name: str, told: Reported) -> Experiment:
    trainings = {run: provenance.lineage(Path(payload_of(model))) for run, model in told.trainings.items()}
    lines = {run: learning_curves.read(Path(node.path) / "metrics.jsonl") for run, node in trainings.items()}
    logged = all(one.train for one in lines.values())
    curve = charts.curves(f"curve-{name}", learning_curves.drawn(lines)) if logged else ""
    return Experiment(name, told, trainings, curve, tuple(_evaluation(name, found) for name, found in told.evaluations.items()))


def _evaluation(name: str, measured: Measured) -> Evaluation:
    runs = {run: provenance.lineage(Path(payload_of(report))) for run, report in measured.runs.items()}
    base = provenance.lineage(Path(payload_of(measured.base)))
    overlaps = (_overlap(dataset, Path(payload_of(path)), list(runs.values())) for dataset, path in measured.overlaps.items())
    first = next(iter(runs))
    rows = {run: diagnosing.predictions(Path(node.path) / "predictions.jsonl") for run, node in (("base", base), (first, runs[first]))}
    return Evaluation(name, base, runs, rows, tuple(overlaps))


def _overlap(dataset: str, folder: Path, trained: Sequence[Node]) -> Overlap:
    node = provenance.lineage(folder)
    cleanings = (above for above in walk(*trained) if node.path in above.record["inputs"])
    dropped = [above.record["facts"]["by_evaluation"][folder.name] for above in cleanings]
    return Overlap(dataset, node, sum(dropped))


def _table(experiments: Sequence[Experiment]) -> str:
    """Every figure with its interval as CSV, a line each."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["experiment", "evaluation", "run", "metric", "value", "low", "high"])
    for one in experiments:
        for evaluation in one.evaluations:
            for run, figures in evaluation.figures.items():
                for metric, value in sorted(figures.items()):
                    writer.writerow([one.name, evaluation.name, run, metric, value, *(evaluation.interval(run, metric) or ("", ""))])
    return output.getvalue()


def _compared(name: str, folder: Path) -> Compared:
    node = provenance.lineage(folder)
    return Compared(name, node, read_json(Path(node.path) / "report.json") or {})


def _whole(project_name: str, experiments: Sequence[Experiment], compared: Sequence[Compared]) -> dict[str, Any]:
    """Everything that the pages show, for programs."""
    told = {one.name: _told(one) for one in experiments}
    return {"project_name": project_name, "experiments": told, "comparisons": {one.name: one.told for one in compared}}


def _told(one: Experiment) -> dict[str, Any]:
    runs = {run: diagnosing.read(Path(node.path)) for run, node in one.trainings.items()}
    return {
        **one.told.model_dump(mode="json", include={"method", "model", "dataset"}),
        "trainings": {run: node.record["facts"] for run, node in one.trainings.items()},
        "findings": {run: diagnosing.as_dict(runs[run], found, ENGLISH)["findings"] for run, found in one.findings.items()},
        "evaluations": {evaluation.name: _evaluated(evaluation) for evaluation in one.evaluations},
        "funnel": [vars(step) for step in one.funnel],
        "tokens": one.tokens,
        "cost": [{**vars(cost), "energy": cost.energy} for cost in one.costs],
        "lineage": [node.as_dict() for node in one.trainings.values()],
    }


def _evaluated(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "rows": evaluation.rows,
        "runs": {run: {**node.record["facts"], "record": node.record_sha256} for run, node in evaluation.nodes.items()},
        "change": {score.name: {"by": score.change, "verdict": score.verdict} for score in evaluation.scores},
        "overlaps": {overlap.dataset: overlap.node.record["facts"] for overlap in evaluation.overlaps},
        "histograms": [vars(one) for one in evaluation.histograms],
        "confusion": None if evaluation.confusion is None else vars(evaluation.confusion),
        "samples": [vars(sample) for sample in evaluation.samples],
    }


def _pages(spec: ReportSpec, experiments: Sequence[Experiment], compared: Sequence[Compared]) -> Iterator[tuple[str, str]]:
    """Names of pages, below the report's folder, with what stands in them. Those of a second language lie in a folder of its name."""
    chosen = languages.names() if spec.report_language == "both" else [spec.report_language]
    own = {language: "" if number == 0 else f"{language}/" for number, language in enumerate(chosen)}
    for language in chosen:
        t, back = languages.Words(language), "../" * own[language].count("/")
        shared = {"t": t, "project_name": spec.project_name, "experiments": experiments, "files": back, "most_files": MOST_FILES}
        for name, template, content in _contents(experiments, compared, t):
            others = {other: f"{back}{own[other]}{name}" for other in chosen if other != language}
            yield own[language] + name, pages.render(template, **shared, **content, others=others)


def _contents(
    experiments: Sequence[Experiment], compared: Sequence[Compared], t: languages.Words
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, template and own content of each page."""
    told = {one.name: _findings(one, t.language) for one in experiments}
    ends = [node for one in experiments for node in one.ends]
    overview = {"findings": told, "sources": sources(*ends), "compared": compared, "metrics": _meanings(experiments, t)}
    yield ReportSpec.PAYLOAD, "report.html.jinja", overview
    for one in experiments:
        about = t(f"methods.{one.told.method}") if t.has(f"methods.{one.told.method}") else _about("methods", one.told.method)
        own = {"experiment": one, "findings": told[one.name], "about": about, "metrics": _meanings([one], t)}
        yield f"{one.name}.html", "experiment.html.jinja", own


def _findings(one: Experiment, language: str) -> dict[str, dict[str, Words]]:
    """Diagnosis -> run -> its words there."""
    found: dict[str, dict[str, Words]] = {}
    for run, findings in one.findings.items():
        for name, words in diagnosing.told(findings, language).items():
            found.setdefault(name, {})[run] = words
    return {name: found[name] for name in sorted(found)}


def _about(package: str, name: str) -> str:
    return first_line(discovery.load(package, name).__doc__)


def _meanings(experiments: Sequence[Experiment], t: languages.Words) -> list[tuple[str, str]]:
    """The metrics with their options, and what they measure."""
    used = {_called(options): options.name for one in experiments for evaluation in one.evaluations for options in evaluation.spec.metrics}
    return [
        (called, t(f"metrics.{name}") if t.has(f"metrics.{name}") else _about("metrics", name)) for called, name in sorted(used.items())
    ]


def _called(options: Options) -> str:
    chosen = [f"{name} {value}" for name, value in options.model_dump(mode="json", exclude={"name"}).items() if value is not None]
    return ", ".join([options.name, *chosen])
