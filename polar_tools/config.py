"""The one typed config: models, datasets, evaluations, experiments, run. Everything else is derived from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, JsonValue, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints, ValidationError, model_validator

from polar_tools import discovery, publication_config
from polar_tools.complaints import complaints
from polar_tools.dataset_config import Dataset, Mixture, Prepared, Source
from polar_tools.discovery import OneOf
from polar_tools.errors import ConfigError
from polar_tools.fields import NAME, Frozen, PreparedRef, Ref, did_you_mean, marked
from polar_tools.methods.base import Config as Experiment
from polar_tools.metrics import base as metrics
from polar_tools.publication_config import Publication
from polar_tools.tracker_config import Trackers

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

Method = Annotated[Experiment, OneOf("methods", "Config", "method")]
Metric = Annotated[metrics.Options, OneOf("metrics", "Options", "name")]


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


class Generation(Frozen):
    """How a model writes; names are transformers' own. What isn't given is as the model's own generation_config.json has it, if at all."""

    max_new_tokens: PositiveInt = 64
    """The longest text, in tokens."""
    min_new_tokens: PositiveInt | None = None
    """The shortest text, in tokens."""
    num_beams: PositiveInt = 1
    """Beams of the search; 1 takes the most probable token each time."""
    do_sample: bool = False
    """Draw tokens by their probability rather than take the most probable; seeded, for each row by itself."""
    temperature: PositiveFloat | None = None
    """Divides the logits before a token is drawn. Needs `do_sample`."""
    top_p: Annotated[PositiveFloat, Field(le=1)] | None = None
    """Draw among the most probable tokens that together reach this probability. Needs `do_sample`."""
    top_k: PositiveInt | None = None
    """Draw among this many most probable tokens. Needs `do_sample`."""
    repetition_penalty: PositiveFloat | None = None
    """Above 1 tokens that were there already, in the prompt too, become less probable."""
    no_repeat_ngram_size: PositiveInt | None = None
    """No so many tokens stand in a row more than once."""
    length_penalty: float | None = None
    """Above 0 a search with beams prefers longer texts, below 0 shorter ones. Needs `num_beams` above 1."""
    early_stopping: bool | Literal["never"] | None = None
    """Whether a search ends as soon as `num_beams` texts have ended; `never` goes on until none can become better.

    Needs `num_beams` above 1.
    """
    stop_strings: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """A text ends before the first of these that it would hold."""

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        needs = {
            ("temperature", "top_p", "top_k"): (self.do_sample, "do_sample: true"),
            ("length_penalty", "early_stopping"): (self.num_beams > 1, "num_beams: 2"),
        }
        for names, (there, need) in needs.items():
            unread = [name for name in names if getattr(self, name) is not None]
            if unread and not there:
                raise ValueError(f"{', '.join(unread)} would be ignored without `{need}`")
        if self.min_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens: {self.min_new_tokens} is more than max_new_tokens {self.max_new_tokens}")
        return self

    def told(self, seed: int) -> dict[str, Any]:
        """What inference.generate is told: what was given, and the seed of sampling."""
        given = {name: value for name, value in self.model_dump(exclude_none=True).items() if value != ()}
        return {**given, "seed": seed}


class Evaluation(Frozen):
    """A measurement of every model that names it: of the untouched one and of each trained one, by the same code."""

    dataset: PreparedRef | None = None
    """A name from `datasets` or `mixtures`; its test rows are measured. Needed where there are no `tasks`."""
    metrics: tuple[Metric, ...] = ()
    """Metrics in order; empty takes those of the experiment's method."""
    generation: Generation = Generation()
    """How the model writes, for methods that write."""
    seed: NonNegativeInt = 0
    """Seed of sampling, and of the examples that are shown."""
    references: tuple[str, ...] = ()
    """What the experiments are compared with besides one another, on the same rows: other models, and files of predictions.

    A name from `models` is measured untouched, as each experiment measures its own; a file is a predictions.jsonl of these rows that was
    made elsewhere (docs/compare.md).
    """
    tasks: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """Names of tasks of lm-evaluation-harness in place of a dataset, for methods that train language models."""
    include_path: str | None = None
    """A folder with tasks of one's own, YAML files and their rows, all of which are part of what is measured. Needs `tasks`."""
    num_fewshot: NonNegativeInt | None = None
    """Examples that are shown before each question, where it isn't the task's own number. Needs `tasks`."""
    limit: PositiveInt | None = None
    """Only so many of the first rows of each task. Needs `tasks`."""
    apply_chat_template: bool = False
    """Ask in the model's chat template. Needs `tasks`."""

    @model_validator(mode="after")
    def _measures_one_thing(self) -> Self:
        if (self.dataset is None) == (not self.tasks):
            raise ValueError("name the `dataset` whose test rows are measured, or `tasks` of lm-evaluation-harness, and not both")
        needs = ("metrics", "generation") if self.tasks else ("include_path", "num_fewshot", "limit", "apply_chat_template")
        given = [name for name in needs if getattr(self, name) != type(self).model_fields[name].default]
        if given:
            why = "tasks say themselves how they are asked and measured" if self.tasks else "they belong to `tasks`"
            raise ValueError(f"{', '.join(given)} would be ignored: {why}")
        return self


class Resources(Frozen):
    """What a job asks of a cluster. It changes no result. Memory and time are of the first attempt: each further one asks for more."""

    mem_mb: PositiveInt | Literal["auto"] = "auto"
    """Memory in MiB; `auto`: what `polar-tools plan` foretells and a quarter more, and no less than is usual for the stage."""
    runtime: PositiveInt = 60
    """Time limit in minutes."""
    slurm_partition: str | None = None
    """Partition; this and the following are the profile's, where they are not said here."""
    slurm_account: str | None = None
    """Account."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that a node must have."""
    gpu_model: str | None = None
    """Which GPUs, by the name that the cluster has for them; of jobs that use one."""
    slurm_extra: str = ""
    """More options of sbatch, such as `--exclude=node07`."""


class Limits(Frozen):
    """What no attempt asks for, however many failed before, unless the first already did."""

    mem_mb: PositiveInt | None = None
    """Memory of the largest node in MiB. Without it, three times what the first attempt asked for."""
    runtime: PositiveInt = 1440
    """The partition's time limit in minutes."""


class StageResources(Frozen):
    """Resources of each stage."""

    mirror: Resources = Resources(mem_mb=2000, runtime=120)
    """Copying a source."""
    convert: Resources = Resources(mem_mb=8000, runtime=60)
    """Dequantising a GGUF file."""
    prepare: Resources = Resources(mem_mb=8000, runtime=120)
    """Reading, filtering and splitting a dataset."""
    mix: Resources = Resources(mem_mb=4000, runtime=60)
    """Mixing datasets."""
    expect: Resources = Resources(mem_mb=4000, runtime=30)
    """Looking whether expectations are met."""
    overlap: Resources = Resources(mem_mb=8000, runtime=120)
    """Looking for text that training rows and the test rows of an evaluation have in common."""
    decontaminate: Resources = Resources(mem_mb=4000, runtime=60)
    """Leaving out rows that overlap."""
    tokenize: Resources = Resources(mem_mb=8000, runtime=120)
    """Rendering a dataset for a model."""
    rank: Resources = Resources(runtime=240)
    """Ranking rows by the loss that the untouched model has on them."""
    train: Resources = Resources(runtime=1440)
    """One training."""
    evaluate: Resources = Resources(runtime=240)
    """One evaluation of one model."""
    harness: Resources = Resources(mem_mb=16000, runtime=240)
    """Tasks of lm-evaluation-harness on one model."""
    compare: Resources = Resources(mem_mb=4000, runtime=60)
    """Comparing all that was measured on an evaluation."""
    report: Resources = Resources(mem_mb=2000, runtime=30)
    """The report."""
    publish: Resources = Resources(mem_mb=8000, runtime=240)
    """Publishing, where Snakemake itself runs."""
    most: Limits = Limits()
    """Up to where attempts ask for more."""

    @model_validator(mode="before")
    @classmethod
    def _unsaid_stays_as_it_is(cls, given: Any) -> Any:
        """Who names a partition for a stage still has its usual memory and time."""
        if not isinstance(given, Mapping):
            return given
        usual = {name: cls.model_fields[name].default.model_dump(exclude_unset=True) for name in cls.model_fields}
        return {name: {**usual.get(name, {}), **part} if isinstance(part, Mapping) else part for name, part in given.items()}


class Run(Frozen):
    """How the work is done. Nothing here changes a result, so nothing here is frozen into a spec."""

    notes: str | None = None
    """For people."""
    resources: StageResources = StageResources()
    """What jobs ask of a cluster."""
    container: str = "envs/polar.sif"
    """The image that jobs run in under `--sdm apptainer`: a file, as envs/polar.def makes it, or a URI such as docker://REGISTRY/polar:TAG."""
    envmodules: tuple[str, ...] = ()
    """Modules that jobs load under `--sdm env-modules`, such as cuda/12.8."""
    trackers: Trackers = ()
    """Where runs are to be seen besides on disk: MLflow, W&B, TensorBoard, none or several (docs/track.md)."""


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
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{origin}: {line}" for line in complaints(error, data))) from None
