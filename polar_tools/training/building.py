"""What a training is put together from, and how its model is saved: the same for the training and for the preflight before it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, discovery, modeling, tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer, TrainerCallback

    from polar_tools.methods.base import Config
    from polar_tools.specs import TrainSpec


def rows(trains_on: str, prepared: Path, part: str, rendered: Path) -> Dataset:
    """The rows of a part as a method's trainer takes them: what was rendered, or the prepared rows but for those that were dropped."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    if trains_on == "tokens":
        return Dataset(pq.read_table(datasets.shards(rendered / "tokens", part)))
    return Dataset(tokens.kept(datasets.shards(prepared, part), rendered))


def trainer(
    spec: TrainSpec, config: Config, train: Dataset, evaluation: dict[str, Dataset] | None, folder: Path, callbacks: list[TrainerCallback]
) -> Trainer:
    """Seeds, model, adapter and data, put together by the method; checkpoints go to `folder`. `config` is the spec's, or one like it."""
    from transformers import PrinterCallback

    method = discovery.load("methods", config.method)
    modeling.seed_everything(spec.seed, config.threads, config.gpus)
    made: Trainer = method.build_trainer(
        config,
        modeling.load_model(config.model, method, config, modeling.load_features(spec.tokenizer), adapter=True),
        modeling.load_processor(spec.tokenizer, method),
        train,
        evaluation,
        callbacks,
        output_dir=str(folder),
        seed=spec.seed,
        use_cpu=config.gpus == 0,
        report_to="none",
        disable_tqdm=True,
    )
    made.remove_callback(PrinterCallback)  # MetricsLog prints the same, for people
    return made


def save(trainer: Trainer, spec: TrainSpec, target: Path) -> None:
    """Write what was trained to `target`: weights or adapter, and the tokenizer."""
    shutil.rmtree(target, ignore_errors=True)
    model: Any = trainer.model
    if spec.experiment.use_peft and spec.experiment.merge_adapter:
        model = modeling.merged(model)
    modeling.save_model(model, target)
    for file in sorted(Path(spec.tokenizer).iterdir()):
        if file.name != "features.json":
            shutil.copyfile(file, target / file.name)
