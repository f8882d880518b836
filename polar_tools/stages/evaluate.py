"""Measure one model on one evaluation: the untouched model and every trained one by this same code."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polar_tools import datasets, discovery, measuring, memory, modeling
from polar_tools.artifact import Facts, canonical, sha256_of
from polar_tools.errors import DataError, IntegrityError
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction
from polar_tools.specs import EvaluateSpec, RankSpec

OPTIONAL = ("sentence-transformers",) if importlib.util.find_spec("sentence_transformers") else ()
LIBRARIES = (*modeling.LIBRARIES, "peft", "pyarrow", "rouge-score", "scikit-learn", *OPTIONAL)


def run(spec: EvaluateSpec, folder: Path) -> Facts:
    """Write predictions.jsonl, a line a test row, and report.json with the metrics."""
    _check_tokenizer(spec)
    rows = datasets.read_rows(Path(spec.test), "test")
    generation = spec.generation.model_dump(exclude_none=True)
    try:
        with memory.noting() as fitting:
            predictions = predict(spec, spec.trained or spec.experiment.model, rows, (spec.head_seed, spec.seed), generation)
    except base.RowError as error:
        raise DataError(f"test row {error.place + 1}: {error}") from error
    report = {"rows": len(predictions), **measuring.measure(predictions, spec.metrics)}
    _write_predictions(predictions, folder / "predictions.jsonl")
    (folder / "report.json").write_bytes(canonical(report))
    return Facts(recorded=report, measured={"rows_at_once": dict(fitting)} if fitting else {})


def predict(
    spec: EvaluateSpec | RankSpec, model: str, rows: Sequence[base.Row], seeds: tuple[int, int], generation: dict[str, Any]
) -> list[Prediction]:
    """What the model in the folder `model` makes of `rows`; `seeds` are those of a new head, and of sampling."""
    config, (head_seed, seed) = spec.experiment, seeds
    method = discovery.load("methods", config.method)
    base.check_columns(config, method.COLUMNS, list(rows[0]))
    modeling.seed_everything(head_seed, config.threads, config.gpus)
    features = modeling.load_features(spec.tokenizer)
    loaded = modeling.load_model(model, method, config, features).eval()
    modeling.seed_everything(seed, config.threads, config.gpus)
    predictions: list[Prediction] = method.predict(
        config, loaded, modeling.load_processor(spec.tokenizer, method, config, list(rows[0])), features, rows, generation
    )
    return predictions


def _check_tokenizer(spec: EvaluateSpec) -> None:
    """The tokenizer and chat template that a trained model carries must be those its training tokens were made with."""
    if spec.trained is None:
        return
    for file in sorted(Path(spec.tokenizer).iterdir()):
        copy = Path(spec.trained) / file.name
        if file.name != "features.json" and (not copy.is_file() or sha256_of(copy) != sha256_of(file)):
            raise IntegrityError(f"{copy} is not the {file.name} that this model was trained with; make {spec.trained} again")


def _write_predictions(predictions: Sequence[Prediction], file: Path) -> None:
    with file.open("w", encoding="utf-8") as output:
        for row in predictions:
            output.write(json.dumps(asdict(row), ensure_ascii=False, sort_keys=True) + "\n")
