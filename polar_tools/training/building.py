"""What a training is put together from, and how its model is saved: the same for the training and for the preflight before it."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, discovery, modeling, pictures, tokens
from polar_tools.errors import ConfigError
from polar_tools.training import offloading, tiling

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from polar_tools.methods.base import Config
    from polar_tools.specs import TrainSpec

COMPARED_ROWS = 4
"""Rows on which a merged model is compared with its adapter."""


def trains_on(config: Config) -> str:
    """What the method's trainer takes: its TRAINS_ON; rows where they have pictures, which no stage keeps as tokens."""
    if pictures.among(datasets.schema(Path(config.dataset)).names):
        return "rows"
    found: str = discovery.load("methods", config.method).TRAINS_ON
    return found


def rows(trains_on: str, prepared: Path, part: str, rendered: Path) -> Dataset:
    """The rows of a part as a method's trainer takes them: what was rendered, or the prepared rows but for those that were dropped."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    if trains_on == "tokens":
        return Dataset(pq.read_table(datasets.shards(rendered / "tokens", part)))
    return Dataset(tokens.kept(datasets.shards(prepared, part), rendered))


def model(spec: TrainSpec) -> Any:
    """The model that is trained, with a new adapter if there is to be one. What is drawn from here on depends on the seed alone."""
    config = spec.experiment
    modeling.seed_everything(spec.seed, config.threads, config.gpus)
    method = discovery.load("methods", config.method)
    with modeling.divided(config):
        model = modeling.load_model(config.model, method, config, modeling.load_features(spec.tokenizer), adapter=True)
    if config.tiled_mlp_num_shards is not None:
        tiling.tile(model, config.tiled_mlp_num_shards)
    if config.use_peft and config.engine in (None, "ddp"):
        from polar_tools.training import fused_lora

        fused_lora.fuse(model)
    return model


def trainer(
    spec: TrainSpec,
    config: Config,
    model: Any,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    folder: Path,
    callbacks: list[Any],
) -> Trainer:
    """Model, rows and callbacks, put together by the method; checkpoints go to `folder`. `config` is the spec's or one like it."""
    from transformers import PrinterCallback
    from transformers import Trainer as BaseTrainer

    from polar_tools.training import engines

    method = discovery.load("methods", config.method)
    made: Trainer = method.build_trainer(
        config,
        model,
        modeling.load_processor(spec.tokenizer, method, config, train.column_names),
        train,
        evaluation,
        callbacks,
        output_dir=str(folder),
        seed=spec.seed,
        use_cpu=config.gpus == 0,
        report_to="none",
        disable_tqdm=True,
        save_total_limit=None,  # which deletes before the newer is whole; see training/saving.py
        **engines.arguments(config),
    )
    if config.label_smoothing_factor and type(made).compute_loss is not BaseTrainer.compute_loss:
        raise ConfigError(f"label_smoothing_factor: {config.method} computes its loss itself and doesn't read it")
    if config.activation_offloading:
        offloading.offload(made)
    made.remove_callback(PrinterCallback)  # MetricsLog prints the same, for people
    engines.begin(made, config)
    return made


def save(trainer: Trainer, spec: TrainSpec, folder: Path) -> float | None:
    """Write model/; says how far a merged model's outputs are from the adapter's."""
    model: Any = _whole(trainer, spec)
    if not trainer.is_world_process_zero():
        return None
    config, target = spec.experiment, folder / spec.PAYLOAD
    shutil.rmtree(target, ignore_errors=True)
    distance = None
    if config.merge_adapter:
        method, features = discovery.load("methods", config.method), modeling.load_features(spec.tokenizer)
        model, distance = modeling.merged(model, method, config, features, _token_ids(spec), folder / "adapter")
    modeling.save_model(model, target)
    for file in sorted(Path(spec.tokenizer).iterdir()):
        if file.name != "features.json":
            shutil.copyfile(file, target / file.name)
    return distance


def _whole(trainer: Trainer, spec: TrainSpec) -> Any:
    """The trained model; one whose weights are divided is put together in rank 0's host memory. Every process must call this."""
    from polar_tools.training import engines

    config = spec.experiment
    if not engines.divides_weights(config):
        return trainer.model
    weights = engines.collected(trainer)
    if not trainer.is_world_process_zero():
        return None
    with engines.alone():
        method, features = discovery.load("methods", config.method), modeling.load_features(spec.tokenizer)
        whole = modeling.load_model(config.model, method, config.model_copy(update={"gpus": 0}), features, adapter=True)
    whole.load_state_dict(weights)
    return whole


def _token_ids(spec: TrainSpec) -> list[list[int]]:
    """The ids of a few training rows."""
    rendered = rows("tokens", Path(), "train", Path(spec.tokenizer).parent)
    name = next(name for name in rendered.column_names if name.endswith("input_ids"))
    return [row[name] for row in itertools.islice(rendered, COMPARED_ROWS)]
