"""Metrics of predictions that come from anywhere: no model, no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from polar_tools import discovery, measuring
from polar_tools.complaints import complaints
from polar_tools.errors import ConfigError, DataError, UserError
from polar_tools.fields import did_you_mean
from polar_tools.metrics.base import Options, Prediction

STDIN = "-"
KNOWN = {field.name for field in fields(Prediction)}
TOKENIZER = "tokenizer"


def score(rows: Iterable[Mapping[str, Any]], metrics: Sequence[Options]) -> dict[str, Any]:
    """`rows` (how many) and what measuring.measure finds in them; each has `prediction` and `reference`, or is a line of predictions.jsonl.

    Raises DataError for a row that lacks one, and for rows that a metric can't be taken of.
    """
    predictions = [_prediction(row, number) for number, row in enumerate(rows, 1)]
    if not predictions:
        raise DataError("there are no predictions to score")
    return {"rows": len(predictions), **measuring.measure(predictions, metrics)}


def read(source: str) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines, or of standard input where it is `-`; raises DataError for a line that is none."""
    if source == STDIN:
        yield from _objects(sys.stdin, "standard input")
        return
    try:
        with Path(source).open(encoding="utf-8-sig") as lines:
            yield from _objects(lines, source)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"there is no file {source}; `-` reads standard input") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is no text: {error}") from error


def _objects(lines: Iterable[str], name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found = json.loads(line)
            except ValueError as error:
                raise DataError(f"{name}, line {number} is no JSON: {error}; a row is a line such as {EXAMPLE}") from error
            if not isinstance(found, dict):
                raise DataError(f"{name}, line {number} is no JSON object; a row is a line such as {EXAMPLE}")
            yield found


EXAMPLE = '{"prediction": "...", "reference": "..."}'


def _prediction(row: Mapping[str, Any], number: int) -> Prediction:
    """A row as a metric takes it; what else stands in it is nobody's."""
    if missing := [name for name in ("prediction", "reference") if name not in row]:
        raise DataError(f"row {number} has no `{missing[0]}` (it has {', '.join(f'`{name}`' for name in row)}); a row is {EXAMPLE}")
    for name in ("prediction", "reference"):
        if not isinstance(row[name], str) and not (row[name] is None and name == "prediction"):
            raise DataError(f"row {number}: its `{name}` is {json.dumps(row[name])[:60]} rather than text")
    told = {name: value for name, value in row.items() if name in KNOWN}
    return Prediction(**{"input": "", "loss": None, "tokens": 0, **told})


def chosen(names: Iterable[str], settings: Iterable[str] = (), tokenizer: str | None = None) -> tuple[Options, ...]:
    """The options of the metrics `names`; `settings` are METRIC.OPTION=VALUE, the value in YAML, and `tokenizer` is for all that have one.

    Raises UserError or ConfigError for a metric or an option that there isn't.
    """
    told: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting in settings:
        path, equals, value = setting.partition("=")
        metric, dot, option = path.partition(".")
        if not (equals and dot and option):
            raise UserError(f"`{setting}` is not of the form METRIC.OPTION=VALUE")
        if metric not in told:
            raise UserError(f"`{setting}`: the metric `{metric}` isn't asked for{did_you_mean(metric, list(told))}")
        told[metric][option] = yaml.safe_load(value)
    kinds = {name: discovery.load("metrics", name).Options for name in told}
    if tokenizer is not None:
        cutting = [name for name, kind in kinds.items() if TOKENIZER in kind.model_fields]
        if not cutting:
            raise UserError(f"--tokenizer would be ignored: {', '.join(told)} cut no text into tokens")
        for name in cutting:
            told[name].setdefault(TOKENIZER, tokenizer)
    return tuple(_options(name, kinds[name], given) for name, given in told.items())


def _options(name: str, kind: Any, given: dict[str, Any]) -> Options:
    try:
        found: Options = kind.model_validate({"name": name, **given})
    except ValidationError as error:
        raise ConfigError("\n".join(f"metric {name}: {line}" for line in complaints(error, given))) from None
    return found
