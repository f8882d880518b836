"""The one typed config: models, datasets, evaluations, experiments, run. Everything else is derived from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import JsonValue, StringConstraints, ValidationError, model_validator

from polar_tools import discovery, publication_config, secrets
from polar_tools.complaints import complaints
from polar_tools.dataset_config import Dataset, Mixture, Prepared, Source
from polar_tools.discovery import OneOf
from polar_tools.errors import ConfigError
from polar_tools.evaluation_config import Evaluation
from polar_tools.fields import NAME, Frozen, Ref, did_you_mean, marked
from polar_tools.methods.base import Config as Experiment
from polar_tools.publication_config import Publication
from polar_tools.run_config import Run

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # where PyYAML was built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

Part = TypeVar("Part", bound=Frozen)

Title = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]

ReportLanguage = Literal["en", "ko", "both"]
WRITERS = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
"""Models that lm-evaluation-harness can ask."""

NO_PLACE = "a secret in a config would be recorded and published; it goes into the environment (HF_TOKEN, WANDB_API_KEY, ...)"

Method = Annotated[Experiment, OneOf("methods", "Config", "method")]


class Model(Source):
    """A base model."""

    revision: str | None = None
    """Branch, tag or commit of an `hf://` source; the same as `@REVISION` behind it."""
    gguf_file: str | None = None
    """A GGUF file in the repository; it is dequantised once, by the rule `convert`."""
    model_subfolder: str | None = None
    """The folder of the repository in which the model lies."""
    config_name: str | None = None
    """Whose `config.json` is taken instead of the model's own: a name from `models`, or a URI."""
    tokenizer_name: str | None = None
    """Whose tokenizer is taken instead of the model's own: a name from `models`, or a URI."""
    decoder_name: str | None = None
    """What becomes the decoder of an encoder-decoder, for `seq2seq`: a name from `models`, this one's too, or a URI.

    The model itself becomes the encoder. Both must have the same vocabulary; the attention from one to the other is new.
    """
    added_tokens: tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...] = ()
    """Words such as `#Person1#` that become tokens of their own, read and written like all others.

    Their embeddings are drawn, always in the same way, from where those of the model lie. An adapter trains them only where
    `modules_to_save` names the embeddings.
    """

    @model_validator(mode="after")
    def _revision_is_of_a_hub(self) -> Self:
        if self.revision is not None and (not self.source.startswith("hf://") or "@" in self.source):
            raise ValueError(f"`revision` goes with an hf:// source that names none itself, not with `{self.source}`")
        return self

    def address(self) -> str:
        """The source with its revision."""
        return f"{self.source}@{self.revision}" if self.revision else self.source

    def parts(self) -> dict[str, str]:
        """Field -> whose part it takes, for those that are given."""
        named = {"config_name": self.config_name, "tokenizer_name": self.tokenizer_name, "decoder_name": self.decoder_name}
        return {field: owner for field, owner in named.items() if owner is not None}


class Config(Frozen):
    """One config file: everything that is made, and from what."""

    project_name: Title = "polar"
    """Stands over the report."""
    report_language: ReportLanguage = "both"
    """The language of the report's pages: en (English), ko (Korean), or both, with a link from each page to the other."""
    models: dict[Name, Model] = {}
    """Base models by name."""
    datasets: dict[Name, Dataset] = {}
    """Datasets by name."""
    mixtures: dict[Name, Mixture] = {}
    """Mixtures of datasets by name."""
    evaluations: dict[Name, Evaluation] = {}
    """Measurements by name."""
    experiments: dict[Name, Method] = {}
    """Trainings by name. Without any, all models are fetched and all datasets prepared."""
    publish: dict[Name, Publication] = {}
    """What is published, by name."""
    run: Run = Run()
    """How the work is done; changes no result."""

    @model_validator(mode="after")
    def _references_lead_somewhere(self) -> Self:
        checks = (
            *(self._dangling, self._unknown_references, self._circles, self._clashes),
            *(self._unmeasurable, self._untasked, self._unwatched, lambda: publication_config.problems(self)),
        )
        problems = [problem for check in checks for problem in check()]
        if not (self.models or self.datasets or self.experiments):
            problems.append("there is nothing to make: name `models`, `datasets` or `experiments`")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _dangling(self) -> list[str]:
        problems = []
        for path, ref, name in marked(self, Ref):
            known = [entry for section in ref.sections for entry in getattr(self, section)]
            if name not in known:
                sections = " or ".join(f"`{section}`" for section in ref.sections)
                problems.append(f"{path}: `{name}` is not defined in {sections}{did_you_mean(name, known)}")
        for name, model in self.models.items():
            if "://" not in model.source:
                problems.append(f"models.{name}.source: `{model.source}` is no URI (such as file://folder or hf://org/name)")
            for field, owner in model.parts().items():
                if "://" not in owner and owner not in self.models:
                    hint = did_you_mean(owner, list(self.models))
                    problems.append(f"models.{name}.{field}: `{owner}` is neither a URI (such as hf://org/name) nor in `models`{hint}")
        for name, dataset in self.datasets.items():
            for field, source in (("source", dataset.source), ("test_source", dataset.test_source)):
                if source is not None and "://" not in source and source not in self.datasets:
                    hint = did_you_mean(source, list(self.datasets))
                    problems.append(
                        f"datasets.{name}.{field}: `{source}` is neither a URI (such as file://rows.csv) nor a name in `datasets`{hint}"
                    )
            if dataset.source in self.datasets and dataset.sha256 is not None:
                problems.append(f"datasets.{name}.sha256: would be ignored; it belongs to `{dataset.source}`, whose files these are")
        return problems

    def _unknown_references(self) -> list[str]:
        """What evaluations are to be compared with that is neither a model nor a file of predictions."""
        return [
            f"evaluations.{name}.references.{place}: " + self._why_unknown(reference)
            for name, evaluation in self.evaluations.items()
            for place, reference in enumerate(evaluation.references)
            if reference not in self.models and (reference in self.experiments or not reference.endswith(".jsonl"))
        ]

    def _why_unknown(self, reference: str) -> str:
        if reference in self.experiments:
            return f"`{reference}` is an experiment, and experiments that name this evaluation are compared without being asked"
        return f"`{reference}` is neither in `models` nor a .jsonl file of predictions{did_you_mean(reference, list(self.models))}"

    def _circles(self) -> list[str]:
        experiments = {name: self.parents(name) for name in self.experiments}
        datasets = {name: [entry.source] for name, entry in self.datasets.items()}
        models = {
            name: [owner for field, owner in entry.parts().items() if (field, owner) != ("decoder_name", name)]
            for name, entry in self.models.items()
        }
        return [
            f"{section}.{circle[0]}.{field}: `{circle[0]}` starts from itself: {' -> '.join(circle)}"
            for section, field, parents in (
                ("experiments", "model", experiments),
                ("datasets", "source", datasets),
                ("models", "parts", models),
            )
            for name in parents
            if (circle := _circle(name, parents)) and name == min(circle)
        ]

    def parents(self, name: str) -> list[str]:
        """The experiments whose trained models an experiment takes."""
        named = (other for _, ref, other in marked(self.experiments[name], Ref) if "experiments" in ref.sections)
        return [other for other in named if other in self.experiments and other not in self.models]

    def _unmeasurable(self) -> list[str]:
        """Evaluations of data of which nothing is held out."""
        return [
            f"evaluations.{name}.dataset: nothing of `{evaluation.dataset}` is held out; give it a `split` or test data"
            for name, evaluation in self.evaluations.items()
            if evaluation.dataset is not None and not self.has_test(evaluation.dataset)
        ] + [
            f"experiments.{name}.eval_datasets.{watched}: nothing of `{dataset}` is held out; give it a `split` or test data"
            for name, experiment in self.experiments.items()
            for watched, dataset in experiment.eval_datasets.items()
            if not self.has_test(dataset)
        ]

    def _untasked(self) -> list[str]:
        """Tasks for models that write nothing, or in place of rows that something else would need."""
        tasked = [name for name, evaluation in self.evaluations.items() if evaluation.tasks]
        writers = sorted(name for name, method in discovery.modules("methods").items() if method.MODEL_CLASS in WRITERS) if tasked else []
        return [
            f"experiments.{name}.evaluations: `{one}` has tasks of lm-evaluation-harness, which `{experiment.method}` trains no model for; "
            f"these do: {', '.join(writers)}"
            for name, experiment in self.experiments.items()
            for one in experiment.evaluations
            if one in tasked and experiment.method not in writers
        ] + [
            f"{section}.{name}.decontaminate.evaluations: `{one}` has tasks in place of rows, so nothing can be compared with them"
            for section in ("datasets", "mixtures")
            for name, entry in getattr(self, section).items()
            for one in entry.decontaminate.evaluations
            if one in tasked
        ]

    def _unwatched(self) -> list[str]:
        """Rows of which isn't said when to look at them. A spec can't tell: tokenize sees the one field without the others."""
        return [
            f"experiments.{name}.eval_datasets: would be ignored without `eval_strategy` or `do_eval: true`"
            for name, experiment in self.experiments.items()
            if experiment.eval_datasets and experiment.eval_strategy == "no" and not experiment.do_eval
        ]

    def prepared(self, name: str) -> Prepared:
        """The dataset or mixture of a name."""
        return self.mixtures[name] if name in self.mixtures else self.datasets[name]

    def has_test(self, name: str) -> bool:
        """Whether rows of a dataset or mixture are held out; a name that leads nowhere is another check's business."""
        parts = [part.dataset for part in self.mixtures[name].parts] if name in self.mixtures else [name]
        return any(self.datasets[part].has_test() for part in parts if part in self.datasets) or not set(parts) <= set(self.datasets)

    def _clashes(self) -> list[str]:
        both = sorted(set(self.models) & set(self.experiments))
        taken = sorted({"models", "datasets", "report", "index", "comparisons", "references", "publish"} & set(self.experiments))
        tests = sorted(name for name, dataset in self.datasets.items() if dataset.test_source and f"{name}.test" in self.datasets)
        parts = [f"{name}.{field}" for name, model in self.models.items() for field in model.parts()]
        return [
            *(f"models.{name}: a part of another model is kept under this name; choose another" for name in parts if name in self.models),
            *(f"datasets.{name}.test: the test rows of `{name}` are kept under this name; choose another" for name in tests),
            *(f"mixtures.{name}: a dataset has this name too" for name in sorted(set(self.mixtures) & set(self.datasets))),
            *(f"experiments.{name}: a model has this name too; `model: {name}` would be ambiguous" for name in both),
            *(f"experiments.{name}: the folder results/{name} is taken; choose another name" for name in taken),
        ]


def _circle(start: str, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """A way from `start` back to itself; empty where there is none."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop()
        for above in parents.get(way[-1], ()):
            if above == start:
                return [*way, start]
            if above not in seen:
                ways.append([*way, above])
                seen.add(above)
    return []


def load(path: Path) -> Config:
    """The config file `path`."""
    return parse(read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """The YAML file `path` as a dictionary; raises ConfigError for a file that is missing or no YAML mapping."""
    try:
        with path.open(encoding="utf-8") as file:
            loader = Loader(file)
            node = loader.get_single_node()
            _refuse_repeated_keys(node, path)
            data = loader.construct_document(node) if node else None
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"there is no config file {path}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not valid YAML: {', '.join(filter(None, [error.context, error.problem]))}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of sections: {', '.join(Config.model_fields)}")
    return data


def _refuse_repeated_keys(node: yaml.Node | None, path: Path) -> None:
    """YAML would take the last of two equal keys in silence."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line, spelling = key.start_mark.line + 1, (key.tag, str(key.value))
            if spelling in lines:
                raise ConfigError(f"{path}:{line}: key `{key.value}` stands twice, first in line {lines[spelling]}")
            lines[spelling] = line
            _refuse_repeated_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, path)


def parse(data: Mapping[str, JsonValue], origin: str = "config", kind: type[Part] = Config) -> Part:  # type: ignore[assignment]
    """`data` as a Config, or another part of one; raises one ConfigError that lists every problem with its path."""
    if found := [place for place, _ in secrets.fields(data)]:
        raise ConfigError("\n".join(f"{origin}: {place}: {NO_PLACE}" for place in found))
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{origin}: {line}" for line in complaints(error, data))) from None
