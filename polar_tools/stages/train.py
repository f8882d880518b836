"""Train one run of an experiment. The method knows how; this file knows no method."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from polar_tools import auto_preset, modeling
from polar_tools import preflight as passed
from polar_tools.artifact import Facts
from polar_tools.specs import TrainSpec

OPTIONAL = {"bitsandbytes": "bitsandbytes", "optimi": "torch-optimi", "sentence_transformers": "sentence-transformers"}
LIBRARIES = (
    *(*modeling.LIBRARIES, "accelerate", "datasets", "numpy", "peft", "trl"),
    *(package for module, package in OPTIONAL.items() if importlib.util.find_spec(module)),
)


def run(spec: TrainSpec, folder: Path, preflight: bool = True, data_collator: Any = None) -> Facts:
    """Write model/ (weights or adapter, tokenizer), checkpoints/, metrics.jsonl and train.log, once the preflight has passed.

    A `data_collator` takes the place of the method's own; its class is recorded, and the preflight knows nothing of it.
    """
    from polar_tools.training import launch, log_file, optimizers, session

    choice, spec = auto_preset.chosen(spec), auto_preset.settled(spec)
    if choice is not None:
        print(f"{folder}: preset auto takes {choice['name']}: {choice['reason']}", flush=True)
    config = spec.experiment
    optimizers.check(config.optim)
    launch.check(config)
    launch.set_up(config.gpus)
    train = launch.run if config.is_distributed else session.run
    with log_file.written(folder / log_file.NAME):
        if preflight and config.do_train and config.is_distributed:
            launch.apart(passed.before_training, spec, folder)
        elif preflight and config.do_train:
            passed.before_training(spec, folder)
        recorded, measured = train(spec, folder, data_collator)
    found = {} if choice is None else {"preset": choice}
    return Facts({**recorded, **found}, measured, volatile=("checkpoints", log_file.NAME, passed.NAME))
