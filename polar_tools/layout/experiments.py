"""Experiments, what is measured of them, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator

from polar_tools import discovery
from polar_tools.config import Config
from polar_tools.errors import ConfigError
from polar_tools.evaluation_config import Evaluation, Metric
from polar_tools.fields import Ref, replaced
from polar_tools.layout.sources import Sources
from polar_tools.methods.base import Config as Experiment
from polar_tools.methods.base import TokenExpectations
from polar_tools.metrics import tasks
from polar_tools.specs import (
    Compared,
    CompareSpec,
    EvaluateSpec,
    ExpectSpec,
    HarnessSpec,
    Measured,
    RankSpec,
    Reported,
    TokenizeSpec,
    TrainSpec,
    sliced,
)

COMPARISONS = "results/comparisons"
NOT_TRAINED: dict[str, object] = {"max_length": None, "on_too_long": "fail", "eval_datasets": {}}
"""What is not asked of rows that a model will not be trained on: they are rendered for what a tokenizer must know of them."""


class Experiments(Sources):
    """Trainings and measurements of every experiment, in an order in which each can start from those before."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._alike: dict[tuple[str, str], str] = {}
        parents_first = sorted(config.experiments, key=lambda name: (self._generation(name), name))
        self.reported = {name: self._experiment(name, config.experiments[name]) for name in parents_first}

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
