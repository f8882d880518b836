"""Predictions off the disk: of an artifact of the stage evaluate with all that is known of it, or out of a file from anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polar_tools.artifact import read_json
from polar_tools.comparing.lots import Lot
from polar_tools.errors import DataError, UserError
from polar_tools.metrics.base import Prediction
from polar_tools.specs import EvaluateSpec, thaw

FILE = "predictions.jsonl"
DEFAULTS: dict[str, Any] = {"input": "", "reference": "", "prediction": None, "loss": None, "tokens": 0}


def predictions(file: Path) -> list[Prediction]:
    """The rows of a predictions.jsonl, or of one with no more than `prediction` and `reference`; raises UserError for anything else."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: {error}") from error
    found = [_row(line, f"{file}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError(f"{file} has no rows")
    return found


def evaluated(name: str, folders: dict[str, Path], overlaps: Sequence[Path] | None) -> Lot:
    """The lot of evaluations of one model, by run; `overlaps` are those with what it was trained on, None where nothing is known of it."""
    specs = [_spec(folder) for folder in folders.values()]
    known = overlaps is not None and all((folder / "manifest.json").is_file() for folder in overlaps)
    seen = frozenset[int]().union(*(overlapping(folder) for folder in overlaps)) if overlaps is not None and known else None
    return Lot(name, {run: predictions(folder / FILE) for run, folder in folders.items()}, specs[0].metrics, seen)


def overlapping(folder: Path) -> frozenset[int]:
    """The places, from 0, of the test rows that an artifact of the stage overlap found in training rows.

    Raises UserError where an older version made it, which only listed the best of very many.
    """
    file = folder / "test_rows.parquet"
    if file.is_file():
        import pyarrow.parquet as pq

        return frozenset(pq.read_table(file, columns=["row"])["row"].to_pylist())
    report = read_json(folder / "report.json") or {}
    with (folder / "matches.jsonl").open(encoding="utf-8") as matches:
        listed = frozenset(int(json.loads(line)["test_row"]) for line in matches)
    if len(listed) != report.get("test", {}).get("overlapping"):
        raise UserError(
            f"{folder} was made by a version that did not write down which test rows overlap; remove its record.json and manifest.json, "
            "and it is made again"
        )
    return listed


def _spec(folder: Path) -> EvaluateSpec:
    if not (folder / "manifest.json").is_file():
        raise UserError(f"{folder} is not there yet: run `snakemake` first")
    spec = thaw((folder / "spec.json").read_bytes(), str(folder / "spec.json"))
    if not isinstance(spec, EvaluateSpec):
        raise UserError(f"{folder} is no evaluation, but of the stage `{spec.stage}`")
    return spec


def _row(line: str, place: str) -> Prediction:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: not JSON: {error}") from error
    if not isinstance(told, dict) or not {"prediction", "loss", "figures"} & set(told):
        raise DataError(f'{place}: not a prediction such as {{"prediction": "...", "reference": "..."}}')
    given = {name: told[name] for name in Prediction.__dataclass_fields__ if name in told}
    return Prediction(**{**DEFAULTS, **given})
