"""Measure one model on one evaluation: the untouched model and every trained one by this same code."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from polar_tools import aside, datasets, journal, measuring, memory, modeling, pictures, prompting, running
from polar_tools.artifact import Facts, Records, canonical, sha256_of
from polar_tools.comparing import bootstrap
from polar_tools.decoding import BROKEN
from polar_tools.errors import DataError, IntegrityError, RowError
from polar_tools.methods import base
from polar_tools.metrics.base import Options, Prediction
from polar_tools.records import fingerprint, write_whole
from polar_tools.specs import EvaluateSpec, RankSpec, freeze

OPTIONAL = tuple(name for name in ("kiwipiepy", "sentence-transformers") if importlib.util.find_spec(name.replace("-", "_")))
LIBRARIES = (*modeling.LIBRARIES, "peft", "pyarrow", "rouge-score", "sacrebleu", "scikit-learn", "scipy", *OPTIONAL)
PREDICTIONS, REPORT, KEPT = "predictions.jsonl", "report.json", "kept.jsonl"


def run(spec: EvaluateSpec, folder: Path) -> Facts:
    """Write predictions.jsonl, a line a test row, and report.json with the metrics. A run that was killed goes on with what is missing."""
    _check_tokenizer(spec)
    prompts = prompting.of(spec.experiment, Path(spec.tokenizer))
    if spec.trained is not None:
        prompting.check(Path(spec.trained), prompts)
    rows = datasets.read_rows(Path(spec.test), "test")
    if not rows:
        raise DataError(f"there is no test row in {spec.test}, so there is nothing to measure; look at what its filters and split left")
    model, seeds, generation = spec.trained or spec.experiment.model, (spec.head_seed, spec.seed), spec.generation.told(spec.seed)
    with memory.noting() as fitting:
        report = measured(lambda: predict(spec, model, rows, seeds, generation), rows, spec.metrics, folder, made_from(spec))
    recorded = {**report, **({"prompts": prompts} if prompts else {})}
    return Facts(recorded=recorded, measured={"rows_at_once": dict(fitting)} if fitting else {})


def made_from(spec: EvaluateSpec) -> str:
    """The sha256 of all that decides predictions: what is measured on them is no part of it, the libraries are."""
    origin = Records().origin(spec, freeze(spec))
    origin["spec"].pop("metrics")
    return hashlib.sha256(canonical({**origin, "versions": {name: metadata.version(name) for name in sorted(LIBRARIES)}})).hexdigest()


def predict(
    spec: EvaluateSpec | RankSpec, model: str, rows: Sequence[base.Row], seeds: tuple[int, int], generation: dict[str, Any]
) -> list[Prediction]:
    """What the model in the folder `model` makes of `rows`; `seeds` are those of a new head, and of sampling."""
    return running.load(spec.experiment, model, spec.tokenizer, rows, seeds).predict(rows, generation)


def measured(
    predict: Callable[[], Sequence[Prediction]], rows: Sequence[base.Row], metrics: Sequence[Options], folder: Path, made_from: str
) -> dict[str, Any]:
    """Write predictions.jsonl and report.json into `folder`, and return the report.

    Batches are kept as they come, for another run of what is `made_from` the same. Raises DataError for a row that is wrong, and for
    predictions that aren't of all rows.
    """
    kept = folder / KEPT
    with journal.kept(kept, made_from, aside.of(folder) / KEPT):
        try:
            predictions = _of_rows(predict(), rows)
        except RowError as error:
            raise DataError(f"test row {error.place + 1}: {error}") from error
    counted = measuring.counted(predictions, metrics)
    figures = {**measuring.report(predictions, counted), **bootstrap.recorded(counted)}
    report = {"rows": len(predictions), **figures, **_endings(predictions)}
    write_whole(folder / PREDICTIONS, "".join(map(_line, predictions)).encode())
    write_whole(folder / REPORT, canonical(report))
    kept.unlink()
    return report


def _of_rows(predictions: Sequence[Prediction], rows: Sequence[base.Row]) -> list[Prediction]:
    """Each prediction with the hash of its row; raises DataError where there are more or fewer than rows, RowError for one that is NaN."""
    if len(predictions) != len(rows):
        raise DataError(f"{len(predictions)} predictions were made for {len(rows)} test rows; nothing is measured over a part of them")
    for place, one in enumerate(predictions):
        if any(number is not None and math.isnan(number) for number in (one.loss, *one.figures.values())):
            raise RowError(place, BROKEN)
    return [replace(one, row=row_hash(row)) for one, row in zip(predictions, rows, strict=True)]


def row_hash(row: base.Row) -> str:
    """What tells a test row: the first half of the sha256 of its columns, pictures by their bytes."""
    shown = {name: [_bytes(picture) for picture in pictures.of({name: row[name]})] for name in pictures.COLUMNS if name in row}
    return fingerprint({**row, **shown})[:32]


def _bytes(picture: Any) -> Any:
    """The bytes of a picture that is stored, or lies in a file."""
    path = picture.get("path") if isinstance(picture, Mapping) else picture
    stored = picture.get("bytes") if isinstance(picture, Mapping) else picture
    return stored if isinstance(stored, bytes) or not isinstance(path, str) else Path(path).read_bytes()


def _endings(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """How many texts are empty, and how many were cut off, where a model wrote any; says so where all are empty."""
    written = [one for one in predictions if one.cut is not None]
    if not written:
        return {}
    found = {"empty": sum(not one.prediction for one in written), "cut": sum(bool(one.cut) for one in written)}
    if found["empty"] == len(written):
        print(
            f"warning: the model wrote nothing after any of the {len(written)} prompts: it ends its answer at once. Look whether it is "
            "asked with the chat template that it was trained with, or set `generation: {min_new_tokens: 1}`",
            file=sys.stderr,
        )
    return {"written": found}


def _check_tokenizer(spec: EvaluateSpec) -> None:
    """The tokenizer and chat template that a trained model carries must be those its training tokens were made with."""
    if spec.trained is None:
        return
    for file in sorted(Path(spec.tokenizer).iterdir()):
        copy = Path(spec.trained) / file.name
        if file.name != "features.json" and (not copy.is_file() or sha256_of(copy) != sha256_of(file)):
            raise IntegrityError(f"{copy} is not the {file.name} that this model was trained with; make {spec.trained} again")


def _line(prediction: Prediction) -> str:
    return json.dumps(asdict(prediction), ensure_ascii=False, sort_keys=True) + "\n"
