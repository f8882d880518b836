"""Train one run of an experiment. The method knows how; this file knows no method."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from polar_tools import modeling
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
    from polar_tools.training import log_file, optimizers, session

    optimizers.check(spec.experiment.optim)
    with log_file.written(folder / log_file.NAME):
        if preflight and spec.experiment.do_train:
            passed.before_training(spec, folder)
        recorded, measured = session.run(spec, folder, data_collator)
    return Facts(recorded, measured, volatile=("checkpoints", log_file.NAME, passed.NAME))
