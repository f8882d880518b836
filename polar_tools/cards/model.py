"""The card of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polar_tools import costs, discovery
from polar_tools.artifact import read_json
from polar_tools.costs import Cost
from polar_tools.exhibits.chain import first_line, walk
from polar_tools.exhibits.evaluation import Evaluation
from polar_tools.exhibits.experiment import Experiment
from polar_tools.publishing import licensing
from polar_tools.publishing.assembling import ADAPTER
from polar_tools.publishing.publication import Publication, repository
from polar_tools.specs import PrepareSpec, Reported

PIPELINES = {
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForSeq2SeqLM": "text2text-generation",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForImageTextToText": "image-text-to-text",
    "AutoModel": "feature-extraction",
}
"""What the Hub calls the task of a class of models."""
SENTENCES = "modules.json"
"""A file by which sentence-transformers knows its models."""


def metadata(made: Publication) -> str:
    """YAML for the Hub, with the figures as its model-index."""
    from huggingface_hub import ModelCardData

    base = made.base_repository
    known = [found for node in _prepared_sources(made) if (found := repository(node))]
    licence = licensing.published(made)
    data = ModelCardData(
        **({"base_model": base[0], "base_model_relation": _relation(made)} if base else {}),
        datasets=[name for name, _ in known] or None,
        eval_results=list(_results(made)) or None,
        library_name=_library(made),
        license=licence or "other",
        **({} if licence else {"license_name": "unknown"}),
        model_name=made.spec.name,
        pipeline_tag=_pipeline(made),
        tags=["polar", _experiment(made).told.method],
    )
    return str(data.to_yaml()).rstrip()


def content(made: Publication) -> dict[str, Any]:
    """What the template shows."""
    one = _experiment(made)
    assert made.run is not None
    return {
        "experiment": one,
        "run": made.run,
        "what": _what(made),
        "about": first_line(discovery.load("methods", one.told.method).__doc__),
        "base": one.model,
        "base_repository": made.base_repository,
        "evaluations": one.evaluations,
        "costs": [*_costs(made)],
        "manifest": read_json(Path(made.artifact) / "manifest.json") or {},
        "library": _library(made),
        "model_class": discovery.load("methods", one.told.method).MODEL_CLASS,
    }


def _what(made: Publication) -> str:
    if made.terms.what == "merged":
        return "merged"
    return "adapter" if (made.folder / ADAPTER).is_file() else "model"


def _relation(made: Publication) -> str:
    """How it is related to its base, in the Hub's words."""
    return "adapter" if _what(made) == "adapter" else "finetune"


def _library(made: Publication) -> str:
    if (made.folder / SENTENCES).is_file():
        return "sentence-transformers"
    return "peft" if _what(made) == "adapter" else "transformers"


def _pipeline(made: Publication) -> str | None:
    if (made.folder / SENTENCES).is_file():
        return "sentence-similarity"
    return PIPELINES.get(discovery.load("methods", _experiment(made).told.method).MODEL_CLASS)


def _experiment(made: Publication) -> Experiment:
    """The published run as the report shows an experiment."""
    assert made.training is not None and made.run is not None
    config = made.training.experiment
    told = Reported(method=config.method, model=config.model, dataset=config.dataset, trainings={}, evaluations={})
    found = tuple(
        Evaluation(name, made.base[name], {made.run: node}, {}, ()) for name, node in made.evaluations.items() if name in made.base
    )
    return Experiment(made.experiment, told, {made.run: made.node}, "", found)


def _costs(made: Publication) -> Iterator[Cost]:
    """What the training and the evaluations cost."""
    for node in (made.node, *made.evaluations.values()):
        yield costs.of(node.path, node.record["spec"]["stage"])


def _results(made: Publication) -> Iterator[Any]:
    """Every figure of every evaluation as the Hub's leaderboards read it, with its interval and that before the training."""
    from huggingface_hub import EvalResult

    task = _pipeline(made) or "other"
    for name, node in made.evaluations.items():
        facts = node.record["facts"]
        before = made.base[name].record["facts"]["metrics"] if name in made.base else {}
        for figure, value in sorted(facts["metrics"].items()):
            interval = facts.get("intervals", {}).get(figure)
            told = {"before": before.get(figure), "interval_95": interval, "rows": facts["rows"]}
            yield EvalResult(
                task_type=task,
                dataset_type=_dataset_type(node),
                dataset_name=name,
                dataset_split="test",
                metric_type=figure,
                metric_name=figure,
                metric_value=value,
                metric_args={key: item for key, item in told.items() if item is not None},
            )


def _dataset_type(node: Any) -> str:
    """The repository that the test rows are from, where they are from one."""
    found = [name for above in walk(node) for name in [_dataset_repository(above)] if name]
    return found[0] if found else node.path.split("/")[-1]


def _dataset_repository(node: Any) -> str | None:
    named = repository(node)
    return named[0] if named and node.path.startswith("resources/datasets/") else None


def _prepared_sources(made: Publication) -> list[Any]:
    """The mirrored sources of the rows that it was trained on."""
    stages = {PrepareSpec.model_fields["stage"].default}
    prepared = [node for node in walk(made.node) if node.record["spec"]["stage"] in stages]
    found = {above.path: above for node in prepared for above in node.inputs}
    return [found[path] for path in sorted(found)]
