"""Sources, datasets and mixtures, and what is looked at before anything is trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from polar_tools import recognition, storage
from polar_tools.config import Config
from polar_tools.dataset_config import Dataset, Mixture, RowExpectations
from polar_tools.errors import ConfigError
from polar_tools.specs import (
    ConvertSpec,
    DecontaminateSpec,
    ExpectSpec,
    Files,
    Ingredient,
    MirrorSpec,
    MixSpec,
    OverlapSpec,
    PrepareSpec,
    Spec,
    freeze,
)


@dataclass(frozen=True)
class Artifact:
    """One folder to be made: its path below the working directory, and its spec."""

    path: str
    spec: Spec

    @cached_property
    def frozen(self) -> bytes:
        """The bytes of spec.json."""
        return freeze(self.spec)

    @cached_property
    def inputs(self) -> list[str]:
        """The artifacts that it is made from: Snakemake asks again and again."""
        return self.spec.inputs()


class Sources:
    """The part of a plan that knows no experiment: artifacts by path, inputs first."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.artifacts: dict[str, Artifact] = {}

    def _add(self, path: str, spec: Spec) -> str:
        """Plan an artifact, once; returns the path of its payload."""
        self.artifacts.setdefault(path, Artifact(path, spec))
        return f"{path}/{spec.PAYLOAD}"

    def _all_there_is(self) -> None:
        """What a config without experiments asks for: its models fetched, its datasets prepared."""
        for name in sorted(self.config.models):
            self._model(name)
        for name in sorted([*self.config.datasets, *self.config.mixtures]):
            self._dataset(name)

    def _mirror(self, section: str, name: str) -> str:
        if section == "models":
            return self._source(section, name, self.config.models[name].address(), self.config.models[name].sha256)
        return self._source(section, name, self.config.datasets[name].source, self.config.datasets[name].sha256)

    def _source(self, section: str, name: str, source: str, sha256: str | None) -> str:
        """The snapshot of `source`: a URI, or the name of another dataset, whose snapshot that is."""
        if "://" not in source:
            return self._mirror(section, source)
        path = f"resources/{section}/{name}"
        if path not in self.artifacts:  # many experiments may name it, and to look costs
            try:
                storage.check(source, sha256)
            except ConfigError as error:
                raise ConfigError(f"{section}.{name}: {error}") from error
        return self._add(path, MirrorSpec(source=source, sha256=sha256))

    def _model(self, name: str) -> str:
        model, snapshot = self.config.models[name], self._mirror("models", name)
        parts = {field: self._part(name, field, owner) for field, owner in model.parts().items()}
        same = {field: getattr(model, field) for field in ("gguf_file", "model_subfolder", "added_tokens")}
        spec = ConvertSpec.model_validate({"model": snapshot, **same, **parts})
        return snapshot if spec == ConvertSpec(model=snapshot) else self._add(f"results/models/{name}", spec)

    def _part(self, name: str, field: str, owner: str) -> str:
        """The folder of a model, by its name or URI, of which another takes a part."""
        if owner == name:
            return self._mirror("models", name)
        return self._source("models", f"{name}.{field}", owner, None) if "://" in owner else self._model(owner)

    def _dataset(self, name: str) -> str:
        path = f"results/datasets/{name}"
        data = self._add(path, self._mixture(self.config.mixtures[name]) if name in self.config.mixtures else self._prepared(name))
        expect = self.config.prepared(name).expect
        if expect != RowExpectations():
            self._add(f"{path}/expect", ExpectSpec(of=data, rows=expect))
        return data

    def _prepared(self, name: str) -> PrepareSpec:
        dataset = self.config.datasets[name]
        snapshot = self._mirror("datasets", name)
        test = None if dataset.test_source is None else self._source("datasets", f"{name}.test", dataset.test_source, None)
        try:
            return prepare_spec(dataset, snapshot, test)
        except ConfigError as error:
            raise ConfigError(f"datasets.{name}.{error}") from error

    def _mixture(self, mixture: Mixture) -> MixSpec:
        parts = tuple(Ingredient(data=self._dataset(part.dataset), weight=part.weight) for part in mixture.parts)
        return MixSpec(parts=parts, until=mixture.until, seed=mixture.seed)

    def _trained_on(self, name: str) -> str:
        """The data that experiments on dataset `name` train on; its overlap with every evaluation is planned."""
        options, prepared = self.config.prepared(name).decontaminate, self._dataset(name)
        overlaps = {evaluation: self._overlap(name, evaluation) for evaluation in self.config.evaluations if self._rows_of(evaluation)}
        dropped = {evaluation: path for evaluation, path in overlaps.items() if options.policy == "drop" and options.counts(evaluation)}
        if not dropped:
            return prepared
        return self._add(f"results/datasets/{name}/clean", DecontaminateSpec(dataset=prepared, overlaps=dropped))

    def _overlap(self, name: str, evaluation: str) -> str:
        path, options = f"results/datasets/{name}/overlap/{evaluation}", self.config.prepared(name).decontaminate
        if path in self.artifacts:  # by an experiment before
            return f"{path}/{OverlapSpec.PAYLOAD}"
        same = {field: getattr(options, field) for field in ("ngram_size", "unit", "common")}
        fail = options.policy == "fail" and options.counts(evaluation)
        test = self._dataset(self._rows_of(evaluation))
        return self._add(path, OverlapSpec(dataset=self._dataset(name), test=test, fail=fail, **same))

    def _rows_of(self, evaluation: str) -> str:
        """The dataset whose test rows are measured; nothing where tasks bring their own."""
        return self.config.evaluations[evaluation].dataset or ""


def prepare_spec(dataset: Dataset, snapshot: str, test_snapshot: str | None = None) -> PrepareSpec:
    """What the stage prepare is told of a dataset whose files lie in `snapshot`, those of its test rows perhaps in `test_snapshot`.

    Raises ConfigError for columns that can't be placed.
    """
    named = (dataset.dataset_main_column, dataset.dataset_sub_column, dataset.dataset_minor_column)
    placed = recognition.by_position(None if dataset.shape in ("auto", "none") else dataset.shape, *named)
    same = {name: getattr(dataset, name) for name in ("format", "shape", "json_columns", "on_bad_row", "filters")}
    train = _files(snapshot, dataset.train_data, dataset.train_data_dir, dataset.train_data_split)
    test = _files(test_snapshot or snapshot, dataset.test_data, dataset.test_data_dir, dataset.test_data_split)
    given = test if test_snapshot or test != Files(source=snapshot) else None
    return PrepareSpec(train=train, test=given, columns={**placed, **dataset.columns}, split=dataset.division(), **same)


def _files(source: str, data: tuple[str, ...] | str, folder: str | None, split: str | None) -> Files:
    return Files(source=source, data=(data,) if isinstance(data, str) else data, dir=folder, split=split)
