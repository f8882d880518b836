"""Rank training rows by the loss that the untouched model has on them: what it finds hard is what there is to learn, or is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polar_tools import datasets, modeling, pages
from polar_tools.artifact import Facts, canonical
from polar_tools.errors import DataError
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction
from polar_tools.specs import RankSpec
from polar_tools.stages import evaluate

LIBRARIES = (*modeling.LIBRARIES, "numpy", "peft", "pyarrow", *pages.LIBRARIES)
LONGEST_TEXT = 500
"""Characters of a text that stand in the ranking."""
HARDEST, EASIEST = 30, 10
"""Rows on the page."""


def run(spec: RankSpec, folder: Path) -> Facts:
    """Write ranking.jsonl (a line a row, the hardest first; rows are numbered from 0), report.json and report.html."""
    shards = datasets.shards(Path(spec.experiment.dataset), "train")
    there = datasets.count(Path(spec.experiment.dataset), "train")
    places = range(there) if there <= spec.rows else sorted(random.Random(0).sample(range(there), spec.rows))  # noqa: S311 (nothing secret)
    rows = datasets.rows_at(shards, places).to_pylist()
    try:  # one token is written, for the methods write where they measure
        found = evaluate.predict(spec, spec.experiment.model, rows, (spec.seed, spec.seed), {"max_new_tokens": 1})
    except base.RowError as error:
        raise DataError(f"training row {places[error.place] + 1} (counted from 1): {error}") from error
    if any(one.loss is None for one in found):
        raise DataError(f"method `{spec.experiment.method}` measures no loss by which rows could be ranked")
    ranking = sorted((_entry(place, one) for place, one in zip(places, found, strict=True)), key=lambda one: (-one["loss"], one["row"]))
    report = {"rows": len(ranking), "of": there, "loss": _spread(ranking)}
    lines = [json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in ranking]
    (folder / spec.PAYLOAD).write_text("".join(lines), encoding="utf-8", newline="\n")
    (folder / "report.json").write_bytes(canonical(report))
    (folder / "report.html").write_text(_page(spec, folder.parent.name, report, ranking), encoding="utf-8", newline="\n")
    return Facts(recorded=report)


def _entry(place: int, found: Prediction) -> dict[str, Any]:
    """A line of the ranking; `loss` is in nats a token."""
    loss = (found.loss or 0.0) / max(found.tokens or 0, 1)
    return {"row": place, "loss": loss, "tokens": found.tokens, "input": _short(found.input), "reference": _short(found.reference)}


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _spread(ranking: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Where the losses lie; over rows, not over tokens."""
    losses = [one["loss"] for one in reversed(ranking)]
    at = {name: losses[int(share * (len(losses) - 1))] for name, share in {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}.items()}
    return {**at, "mean": sum(losses) / len(losses)}


def _page(spec: RankSpec, name: str, report: dict[str, Any], ranking: Sequence[dict[str, Any]]) -> str:
    easiest = ranking[max(HARDEST, len(ranking) - EASIEST) :]
    return pages.render("rank.html.jinja", name=name, report=report, hardest=ranking[:HARDEST], easiest=list(reversed(easiest)))
