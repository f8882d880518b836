"""Config -> artifacts: where each lies, what it is made from, and the spec that its tool reads. Knows no Snakemake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from polar_tools import artifact, discovery, foreign_code, publications, recognition, storage, tracker_config
from polar_tools.config import Config
from polar_tools.dataset_config import Dataset, Mixture, RowExpectations
from polar_tools.errors import ConfigError
from polar_tools.evaluation_config import Evaluation, Metric
from polar_tools.fields import Ref, payload_of, replaced
from polar_tools.methods.base import Config as Experiment
from polar_tools.methods.base import TokenExpectations
from polar_tools.metrics import tasks
from polar_tools.run_config import Resources
from polar_tools.specs import (
    Compared,
    CompareSpec,
    ConvertSpec,
    DecontaminateSpec,
    EvaluateSpec,
    ExpectSpec,
    ExperimentSpec,
    Files,
    HarnessSpec,
    Ingredient,
    Measured,
    MirrorSpec,
    MixSpec,
    OverlapSpec,
    PrepareSpec,
    RankSpec,
    Reported,
    ReportSpec,
    Spec,
    TokenizeSpec,
    TrainSpec,
    freeze,
    sliced,
)

REPORT, COMPARISONS, PUBLICATIONS = "results/report", "results/comparisons", "results/publish"
NOT_TRAINED: dict[str, object] = {"max_length": None, "on_too_long": "fail", "eval_datasets": {}}
"""What is not asked of rows that a model will not be trained on: they are rendered for what a tokenizer must know of them."""


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


class Plan:
    """Every artifact that a config asks for, by path, inputs first; raises ConfigError where the config can't be planned."""

    def __init__(self, config: Config) -> None:
        foreign_code.check(config)
        self.config = config
        self.artifacts: dict[str, Artifact] = {}
        self._alike: dict[tuple[str, str], str] = {}
        parents_first = sorted(config.experiments, key=lambda name: (self._generation(name), name))
        reported = {name: self._experiment(name, config.experiments[name]) for name in parents_first}
        if reported:
            spec = ReportSpec(
                project_name=config.project_name,
                report_language=config.report_language,
                experiments=reported,
                comparisons=self._comparisons(reported),
            )
            self._add(REPORT, spec)
        else:
            self._all_there_is()
        for name in sorted(config.publish):
            self._add(f"{PUBLICATIONS}/{name}", publications.spec(config, name, reported, self._dataset))

    def inputs(self, path: str) -> list[str]:
        """What a rule waits for besides the spec: the manifests of the inputs, and local files, sorted."""
        made = self.artifacts[path]
        return [f"{folder}/manifest.json" for folder in made.inputs] + made.spec.local_files()

    def gates(self, path: str) -> list[str]:
        """Manifests of what must hold before the artifact is made, but is no part of it, sorted.

        Snakemake would plan a job for a gate that isn't there yet, so what is made already has none such.
        """
        spec = self.artifacts[path].spec
        if not isinstance(spec, TokenizeSpec | TrainSpec):
            return []
        payloads = [spec.experiment.dataset, *([spec.tokenizer] if isinstance(spec, TrainSpec) else [])]
        looked_at = sorted(gate for payload in payloads for gate in self._gates.get(self._uncleaned(payload), []))
        manifests = [Path(gate, "manifest.json") for gate in looked_at]
        return [manifest.as_posix() for manifest in manifests if manifest.is_file() or self._states[path] == "to make"]

    @cached_property
    def _gates(self) -> dict[str, list[str]]:
        """Payload -> what may find that nothing is to be trained on it."""
        gates: dict[str, list[str]] = {}
        for path, made in self.artifacts.items():
            if isinstance(made.spec, ExpectSpec):
                gates.setdefault(made.spec.of, []).append(path)
            elif isinstance(made.spec, OverlapSpec) and made.spec.fail:
                gates.setdefault(made.spec.dataset, []).append(path)
        return gates

    def _uncleaned(self, payload: str) -> str:
        """The data as prepared, of data from which rows that overlap were left out."""
        made = self.artifacts.get(payload_of(payload))
        return made.spec.dataset if made is not None and isinstance(made.spec, DecontaminateSpec) else payload

    @property
    def references(self) -> list[str]:
        """The folders below results/ of models that experiments are compared with, each laid out as an experiment's."""
        return sorted(set(self._alike.values()))

    @cached_property
    def _states(self) -> dict[str, str]:
        return self.states()

    def targets(self, below: str = "") -> list[str]:
        """The manifests of all artifacts whose paths begin with `below`."""
        return [f"{path}/manifest.json" for path in self.artifacts if path.startswith(below)]

    def settle(self, root: Path = Path()) -> None:
        """Bring the spec.json files below `root` up to date and drop manifests that no longer tell the truth."""
        records = artifact.Records(root)
        for path, made in self.artifacts.items():
            artifact.settle(root / path, made.frozen, made.spec, records)
        tracker_config.settle(tracker_config.Settings(project_name=self.config.project_name, trackers=self.config.run.trackers), root)

    def states(self, root: Path = Path()) -> dict[str, str]:
        """Path -> "done" or "to make", in the order of the work; nothing is written."""
        records = artifact.Records(root)
        states: dict[str, str] = {}
        for path, made in self.artifacts.items():
            above = [states[folder] for folder in made.inputs]
            done = "to make" not in above and artifact.is_done(root / path, made.spec, made.frozen, records)
            states[path] = "done" if done else "to make"
        return states

    def gpus(self, path: str) -> int:
        """GPUs that the artifact's job needs on a node; only a training has use for more than one."""
        spec = self.artifacts[path].spec
        if isinstance(spec, TrainSpec):
            return spec.experiment.gpus
        return min(1, spec.experiment.gpus) if isinstance(spec, RankSpec | EvaluateSpec) else 0

    def allocation(self, path: str) -> dict[str, int | str | None]:
        """What a training's job needs, by the names of Snakemake's Slurm executor; None for what is not to be said.

        On several nodes GPUs are counted for each of them (`gres`), and the command runs once on each (`mpi`). Several GPUs of one node are
        asked for as such: Slurm would take them wherever they are free.
        """
        spec, gpus = self.artifacts[path].spec, self.gpus(path)
        nodes = spec.experiment.nodes if isinstance(spec, TrainSpec) else 1
        if nodes == 1:
            return {"gpu": gpus, "nodes": 1 if gpus > 1 else None, "tasks": None, "mpi": None, "gres": None, "tasks_per_gpu": None}
        whole = {"gpu": None, "nodes": nodes, "tasks": nodes, "mpi": "srun"}
        model = self.resources("train").gpu_model
        gres = f"gpu:{model}:{gpus}" if model else f"gpu:{gpus}"
        return {**whole, "gres": gres if gpus else None, "tasks_per_gpu": 0 if gpus else None}

    def threads(self, path: str) -> int:
        """CPU threads that the artifact's job needs on a node."""
        spec = self.artifacts[path].spec
        if isinstance(spec, TrainSpec):
            return spec.experiment.threads * spec.experiment.processes_per_node
        return spec.experiment.threads if isinstance(spec, ExperimentSpec) else 1

    def resources(self, stage: str) -> Resources:
        """Memory and time limit of a stage's jobs."""
        found: Resources = getattr(self.config.run.resources, stage)
        return found

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
        same = {"gguf_file": model.gguf_file, "model_subfolder": model.model_subfolder}
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

    def _lineage(self, experiment: Experiment) -> Iterator[str]:
        """The datasets that an experiment's model was trained on, its own first."""
        yield experiment.dataset
        parent = self.config.experiments.get(experiment.model)
        if parent is not None:
            yield from self._lineage(parent)

    def _generation(self, name: str) -> int:
        """How many trainings, one after another, must be done before the experiment's own."""
        return max((1 + self._generation(parent) for parent in self.config.parents(name)), default=0)

    def _start(self, name: str, seed: int) -> str:
        """The model that a run with `seed` of experiment `name` starts from."""
        model = self.config.experiments[name].model
        parent = self.config.experiments.get(model)
        if parent is None:
            return self._model(model)
        if seed not in parent.seeds:
            raise ConfigError(
                f"experiments.{name}.seeds: {seed} is not a seed of `{model}`, from which it starts (it has {list(parent.seeds)})"
            )
        return self._made(model, seed)

    def _tokenize(self, name: str, experiment: Experiment) -> str:
        parent = self.config.experiments.get(experiment.model)
        source = self._model(experiment.model) if parent is None else f"results/{experiment.model}/tokenize/{TokenizeSpec.PAYLOAD}"
        path = f"results/{name}/tokenize"
        tokenizer = self._add(path, TokenizeSpec(experiment=self._bound(name, "tokenize", experiment.seeds[0], source)))
        if experiment.expect != TokenExpectations():
            self._add(f"{path}/expect", ExpectSpec(of=tokenizer, tokens=experiment.expect))
        return tokenizer

    def _bound(self, name: str, stage: str, seed: int, model: str) -> Experiment:
        """What a stage may see of an experiment, starting from `model`, with its references turned into paths.

        Another model that it names is an experiment's with the same seed, where that has it, or else with its first.
        """
        seen = sliced(self.config.experiments[name], stage)

        def path(ref: Ref, other: str) -> str:
            if "datasets" in ref.sections:
                return self._dataset(other)
            seeds = self.config.experiments[other].seeds if other in self.config.experiments else (seed,)
            return self._made(other, seed if seed in seeds else seeds[0])

        bound = replaced(seen, Ref, path)
        return bound.model_copy(update={"model": model, "dataset": self._trained_on(seen.dataset)})

    def _made(self, name: str, seed: int) -> str:
        """A model, or what an experiment's run with `seed` trained."""
        return f"results/{name}/seed{seed}/train/{TrainSpec.PAYLOAD}" if name in self.config.experiments else self._model(name)

    def _experiment(self, name: str, experiment: Experiment) -> Reported:
        tokenizer = self._tokenize(name, experiment)
        if experiment.rank_rows:
            self._rank(name, experiment, tokenizer)
        trainings = {f"seed{seed}": self._train(name, tokenizer, seed) for seed in experiment.seeds}
        evaluations = {
            evaluation: Measured(
                base=self._evaluate(name, tokenizer, evaluation, experiment.seeds[0], None),
                runs={
                    run: self._evaluate(name, tokenizer, evaluation, seed, trainings[run])
                    for run, seed in ((f"seed{seed}", seed) for seed in experiment.seeds)
                },
                overlaps={
                    dataset: self._overlap(dataset, evaluation) for dataset in self._lineage(experiment) if self._rows_of(evaluation)
                },
            )
            for evaluation in experiment.evaluations
        }
        return Reported(
            method=experiment.method, model=experiment.model, dataset=experiment.dataset, trainings=trainings, evaluations=evaluations
        )

    def _comparisons(self, reported: dict[str, Reported]) -> dict[str, str]:
        """What is compared, by evaluation: all that was measured on it."""
        made = {}
        for name, evaluation in sorted(self.config.evaluations.items()):
            compared = {
                one: self._compared(one, name, told.evaluations[name]) for one, told in reported.items() if name in told.evaluations
            }
            if compared:
                files = tuple(file for file in evaluation.references if file not in self.config.models)
                made[name] = self._add(f"{COMPARISONS}/{name}", CompareSpec(experiments=compared, files=files))
        return made

    def _compared(self, name: str, evaluation: str, measured: Measured) -> Compared:
        parent = self.config.experiments.get(self.config.experiments[name].model)
        seen = {dataset: path for dataset, path in measured.overlaps.items() if not self._is_left_out(dataset, evaluation)}
        before = [] if parent is None else list(self._lineage(parent))
        return Compared(
            base=measured.base,
            runs=measured.runs,
            references=self._references(name, evaluation),
            seen=seen,
            seen_before={dataset: path for dataset, path in seen.items() if dataset in before},
        )

    def _is_left_out(self, dataset: str, evaluation: str) -> bool:
        """Whether nobody was trained on those rows of a dataset that overlap with an evaluation."""
        options = self.config.prepared(dataset).decontaminate
        return options.policy == "drop" and options.counts(evaluation)

    def _references(self, name: str, evaluation: str) -> dict[str, str]:
        """Other untouched models, measured as the experiment's own is: where experiments would measure one alike, it is done once."""
        experiment, made = self.config.experiments[name], {}
        for model in self.config.evaluations[evaluation].references:
            if model in self.config.models and model != experiment.model:
                seed, folder, start = experiment.seeds[0], f"references/{name}/{model}", self._model(model)
                told = TokenizeSpec(experiment=self._bound(name, "tokenize", seed, start).model_copy(update=NOT_TRAINED))
                measured = self._measurement(name, evaluation, seed, start)
                alike = self._alike.setdefault((told.model_dump_json(), measured.model_dump_json()), folder)
                tokenizer = self._add(f"results/{alike}/tokenize", told)
                measured = measured.model_copy(update={"tokenizer": tokenizer})
                made[model] = self._add(f"results/{alike}/base/{measured.stage}/{evaluation}", measured)
        return made

    def _rank(self, name: str, experiment: Experiment, tokenizer: str) -> str:
        seed = experiment.seeds[0]
        bound = self._bound(name, "rank", seed, self._start(name, seed))
        return self._add(f"results/{name}/rank", RankSpec(tokenizer=tokenizer, rows=experiment.rank_rows, seed=seed, experiment=bound))

    def _train(self, name: str, tokenizer: str, seed: int) -> str:
        bound = self._bound(name, "train", seed, self._start(name, seed))
        return self._add(
            f"results/{name}/seed{seed}/train",
            TrainSpec(tokenizer=tokenizer, seed=seed, experiment=bound, left_to_rows=self.config.experiments[name].left_to_rows()),
        )

    def _evaluate(self, name: str, tokenizer: str, evaluation: str, seed: int, trained: str | None) -> str:
        run = "base" if trained is None else f"seed{seed}"
        spec = self._measurement(name, evaluation, seed, self._start(name, seed)).model_copy(
            update={"tokenizer": tokenizer, "trained": trained}
        )
        return self._add(f"results/{name}/{run}/{spec.stage}/{evaluation}", spec)

    def _measurement(self, name: str, evaluation_name: str, seed: int, start: str) -> EvaluateSpec:
        """What an experiment has measured of the untouched model in `start`, but for the tokenizer."""
        evaluation: Evaluation = self.config.evaluations[evaluation_name]
        if evaluation.tasks:
            return self._tasked(name, evaluation, seed, start)
        return EvaluateSpec(
            tokenizer="",
            trained=None,
            test=self._dataset(self._rows_of(evaluation_name)),
            metrics=evaluation.metrics or tuple(default_metrics(self.config.experiments[name])),
            generation=evaluation.generation,
            seed=evaluation.seed,
            head_seed=seed,
            experiment=self._bound(name, "evaluate", seed, start),
        )

    def _tasked(self, name: str, evaluation: Evaluation, seed: int, start: str) -> HarnessSpec:
        return HarnessSpec(
            tokenizer="",
            trained=None,
            metrics=(tasks.Options(),),
            tasks=evaluation.tasks,
            include_path=evaluation.include_path,
            num_fewshot=evaluation.num_fewshot,
            limit=evaluation.limit,
            apply_chat_template=evaluation.apply_chat_template,
            seed=evaluation.seed,
            head_seed=seed,
            experiment=self._bound(name, "harness", seed, start),
        )


def default_metrics(experiment: Experiment) -> Iterator[Metric]:
    """The metrics of evaluations that name none."""
    for metric in experiment.metrics() or discovery.load("methods", experiment.method).METRICS:
        yield discovery.load("metrics", metric).Options()


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
