"""`preset: auto`: what an experiment's rows, once they are tokens, fill of its fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polar_tools import presets
from polar_tools.fields import payload_of
from polar_tools.records import read_json
from polar_tools.specs import TrainSpec


def chosen(spec: TrainSpec, root: Path = Path()) -> dict[str, str] | None:
    """`name` and `reason` of the preset that is taken; None where none is left to the rows, or they aren't tokens yet."""
    if not spec.left_to_rows:
        return None
    report: dict[str, Any] = read_json(root / payload_of(spec.tokenizer) / "report.json") or {}
    found: dict[str, str] | None = report.get("recommended", {}).get("preset")
    return found


def settled(spec: TrainSpec, root: Path = Path()) -> TrainSpec:
    """`spec` with the fields that are left to the rows as the chosen preset has them; as it is where nothing is chosen yet."""
    choice = chosen(spec, root)
    if choice is None:
        return spec
    values = {field: value for field, value in presets.load(choice["name"]).items() if field in spec.left_to_rows}
    return spec.model_copy(update={"experiment": spec.experiment.model_copy(update=values)})
