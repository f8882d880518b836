"""A few rows of the data, taken through the very code of train and evaluate, so that what must be equal can be compared."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, discovery, modeling
from polar_tools.errors import DataError, RowError
from polar_tools.evaluation_config import Generation
from polar_tools.experiment.distributing import Distributing
from polar_tools.experiment.loading import Loading
from polar_tools.fields import Slice
from polar_tools.marks import IGNORED
from polar_tools.training import building
from polar_tools.training.watching import Received, still, watching

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import Trainer, TrainerCallback

    from polar_tools.metrics.base import Prediction
    from polar_tools.specs import TrainSpec

ROWS = 8
SHORT = 64
"""Rows of at most so many tokens are taken where there are enough: what holds of short rows holds of long ones, and is seen sooner."""
ENOUGH = 512
"""As many as any trainer wants at a time."""
AMONG = 10_000
"""Rows among which they are chosen."""
NOISE = 0.02
"""What is added to every weight that is trained: with an adapter that does nothing yet, nobody would see that it was lost."""
PLAIN: dict[str, Any] = {
    "max_steps": 1,
    "gradient_accumulation_steps": 1,
    "train_sampling_strategy": "sequential",
    "packing": False,
    "batch_sampler": "batch_sampler",
    "optim": "sgd",
    "max_grad_norm": 0.0,
    "save_strategy": "no",
    "eval_strategy": "no",
    "load_best_model_at_end": False,
    "early_stopping_patience": None,
    "max_completion_length": 1,
    "steps_per_generation": None,
    "num_iterations": 1,
    "num_ppo_epochs": 1,
    "num_mini_batches": 1,
}
"""Fields as a comparison needs them: all rows in one batch, in their order, not packed, and nothing beside."""


@dataclass(frozen=True)
class Step:
    """A training until right before its first optimizer step."""

    loss: float
    gradient: dict[str, torch.Tensor]
    """By weight; empty where it wasn't asked for."""
    batches: list[dict[str, Any]]
    received: Received


@dataclass(frozen=True)
class Predicted:
    """What evaluate's code makes of the rows."""

    predictions: list[Prediction]
    received: Received


class EnoughError(Exception):
    """The trainer has come as far as it was wanted to."""


class Trial:
    """Some rows of a training's data, and its model.

    The model is loaded anew each time, and only results are kept: there is never more than one in memory.
    """

    def __init__(self, spec: TrainSpec, folder: Path) -> None:
        self.spec, self.folder = _in_one_process(spec), folder
        self.config = self.spec.experiment
        self.method: Any = discovery.load("methods", self.config.method)
        self.chosen = _choice(Path(spec.tokenizer).parent)
        self.rows: list[dict[str, Any]] = datasets.rows_at(
            datasets.shards(Path(self.config.dataset), "train"), self.chosen.places
        ).to_pylist()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the method reads."""
        has = {*self.rows[0], *self.config.makes()}
        return next(tuple(wanted) for wanted in self.method.COLUMNS if set(wanted) <= has)

    def has(self, field: str) -> bool:
        """Whether the method has a field, and one that decides nothing about tokens: these are as they were rendered."""
        found = type(self.config).model_fields.get(field)
        return found is not None and not any(isinstance(mark, Slice) and "tokenize" in mark.stages for mark in found.metadata)

    @cached_property
    def data(self) -> Dataset:
        """The rows as the method's trainer takes them."""
        rows = building.rows(building.trains_on(self.config), Path(self.config.dataset), "train", Path(self.spec.tokenizer).parent)
        return rows.select(self.chosen.kept_places)

    def labelled(self) -> int | None:
        """How many tokens of the rows are trained on, as they were rendered; None where that is the trainer's business."""
        if building.trains_on(self.config) != "tokens" or "labels" not in self.data.column_names:
            return None
        return sum(int(label != IGNORED) for labels in self.data["labels"] for label in labels)

    def unlike(self, count: int) -> list[int]:
        """So many of the rows, with as different numbers of trained tokens as there are."""
        inorder = sorted(range(len(self.rows)), key=lambda row: self.chosen.trained[row])
        return [inorder[round(place * (len(inorder) - 1) / (count - 1))] for place in range(count)]

    def model(self) -> Any:
        """The model that is trained, with noise on what is trained of it."""
        gc.collect()
        model = building.model(self.spec)
        _shake(model)
        return model

    def trainer(self, model: Any, rows: Sequence[int] | None = None, callbacks: Sequence[TrainerCallback] = (), **changes: Any) -> Trainer:
        """A trainer as train builds it, on some of the rows, with other values of those fields that the method has."""
        config = self.config.model_copy(update={name: value for name, value in changes.items() if self.has(name)})
        data = self.data if rows is None else self.data.select(rows)
        evaluation = dict.fromkeys(config.eval_datasets, data) or None
        return building.trainer(self.spec, config, model, data, evaluation, self.folder / "checkpoints", list(callbacks))

    def plainly(self) -> dict[str, Any]:
        """Fields as a comparison needs them; of methods that write several answers to a prompt, a batch for all prompts."""
        answers = self.config.model_dump(include={"num_generations"}).get("num_generations", 1)
        return {**PLAIN, "per_device_train_batch_size": len(self.rows) * answers}

    def step(self, rows: Sequence[int] | None = None, gradient: bool = False, **changes: Any) -> Step:
        """A training with these fields, without dropout."""
        batches: list[dict[str, Any]] = []
        losses: list[float] = []
        trainer = self.trainer(self.model(), rows, [_stop_at("on_pre_optimizer_step")], **{**self.plainly(), **changes})
        training_step = trainer.training_step

        def watched(model: Any, inputs: dict[str, Any], *items: Any) -> Any:
            batches.append(dict(inputs))
            loss = training_step(model, inputs, *items)
            losses.append(float(loss))
            return loss

        trainer.training_step = watched
        if not gradient:
            trainer.accelerator.backward = lambda loss, **_: None
        with still(trainer.model), watching(trainer.model) as received, suppress(EnoughError):
            trainer.train()
        found = {name: weight.grad.detach() for name, weight in trainer.model.named_parameters() if weight.grad is not None}
        return Step(sum(losses), found, batches, received)

    @cached_property
    def plain(self) -> Step:
        """All rows in one batch, not packed."""
        return self.step()

    def begun(self) -> Trainer:
        """A trainer with all fields as they are, right before its first batch; the rows are repeated, so that there are enough."""
        config = self.config
        step = config.per_device_train_batch_size * config.gradient_accumulation_steps
        rows = [place % len(self.rows) for place in range(max(ENOUGH, step))]
        trainer = self.trainer(self.model(), rows, [_stop_at("on_train_begin")])
        with suppress(EnoughError):
            trainer.train()
        return trainer

    @cached_property
    def predicted(self) -> Predicted:
        """What evaluate makes of the rows with the model that training has in memory, which then is `saved` as train saves it."""
        model = self.model()
        found = self.predict(model)
        building.save(self.trainer(model, **self.plainly()), self.spec, self.folder)
        return found

    @property
    def saved(self) -> Path:
        """Where the model of `predicted` lies."""
        return self.folder / self.spec.PAYLOAD

    def loaded(self) -> Predicted:
        """What evaluate makes of the rows with the model in `saved`."""
        gc.collect()
        features = modeling.load_features(self.spec.tokenizer)
        return self.predict(modeling.load_model(str(self.saved), self.method, self.config, features))

    def predict(self, model: Any) -> Predicted:
        """What evaluate makes of the rows with `model`; of what it writes, the first token."""
        features = modeling.load_features(self.spec.tokenizer)
        processor = modeling.load_processor(self.spec.tokenizer, self.method, self.config, list(self.rows[0]))
        generation = Generation(max_new_tokens=1).told(seed=0)
        with still(model), watching(model) as received:
            try:
                return Predicted(self.method.predict(self.config, model, processor, features, self.rows, generation), received)
            except RowError as error:
                raise DataError(f"training row {self.chosen.places[error.place] + 1} (counted from 1): {error}") from error


def _in_one_process(spec: TrainSpec) -> TrainSpec:
    """`spec` without what divides a training among processes."""
    spread = [name for name in Distributing.model_fields if name not in Loading.model_fields]
    one = {name: Distributing.model_fields[name].default for name in spread}
    gpus = min(1, spec.experiment.gpus)
    return spec.model_copy(update={"experiment": spec.experiment.model_copy(update={**one, "gpus": gpus})})


@dataclass(frozen=True)
class Choice:
    """Which rows are looked at, in their order."""

    places: list[int]
    """Among all rows."""
    kept_places: list[int]
    """Among those that weren't dropped."""
    trained: list[int]
    """How many of its tokens each trains on."""


def _choice(rendered: Path) -> Choice:
    """Short rows, of which some train on many tokens and some on few: where all are alike, a mean of means is the mean."""
    import numpy as np
    import pyarrow.parquet as pq

    measured = pq.read_table(datasets.shards(rendered / "measures", "train"), columns=["kept_tokens", "kept_trained"])
    lengths, trained = (measured[name].to_numpy() for name in ("kept_tokens", "kept_trained"))
    kept = np.flatnonzero(lengths)[:AMONG]
    inorder = np.argsort(lengths[kept], kind="stable")
    short = inorder[: max(ROWS, int((lengths[kept] <= SHORT).sum()))]
    ranked = short[np.argsort(trained[kept[short]], kind="stable")]
    chosen = np.sort(ranked[np.unique(np.linspace(0, len(ranked) - 1, ROWS).astype(int))])
    return Choice(kept[chosen].tolist(), chosen.tolist(), trained[kept[chosen]].tolist())


def _shake(model: torch.nn.Module) -> None:
    """Add noise to every weight that is trained, the same each time."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.empty_like(weight).uniform_(-NOISE, NOISE))


def _stop_at(event: str) -> TrainerCallback:
    """A callback that ends the training at one of a callback's events."""
    from transformers import TrainerCallback

    def stop(*args: Any, **kwargs: Any) -> None:
        raise EnoughError

    return type("Stop", (TrainerCallback,), {event: stop})()
