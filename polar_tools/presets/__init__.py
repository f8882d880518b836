"""Values of an experiment's fields for a purpose, one YAML file each, found by its name; `auto` leaves it to the rows which is taken."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from polar_tools.fields import did_you_mean

FOLDER = Path(__file__).parent
AUTO = "auto"
BY_ROWS = ("large-dataset", "small-dataset")
"""What `auto` chooses from."""
NEVER_CHOSEN = "max_length"
"""Rows are measured before anything is chosen, so that `auto` can't say where they are cut: they are not, unless the experiment does."""


def names() -> list[str]:
    """What presets there are, sorted."""
    return sorted([AUTO, *(file.stem for file in FOLDER.glob("*.yaml"))])


@cache
def load(name: str) -> dict[str, Any]:
    """The fields of a preset, of `auto` those that all it chooses from agree on; raises ValueError for a name that there isn't."""
    import yaml

    if name == AUTO:
        return {field: value for field, value in load(BY_ROWS[0]).items() if all(load(one).get(field) == value for one in BY_ROWS)}
    if name not in names():
        raise ValueError(f"preset: there is no `{name}`{did_you_mean(name, names()) or '; known are: ' + ', '.join(names())}")
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def fill(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """`said`, and what a preset says of other fields; an adapter's fields only where there is to be one."""
    found = {field: value for field, value in load(name).items() if field in taken(load(name), said)}
    return {**found, **said}


def left_to_rows(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that `auto` fills by what the rows are, sorted."""
    differing = {field for one in BY_ROWS for field in load(one)} - set(load(AUTO)) - {NEVER_CHOSEN}
    return tuple(sorted(taken(differing, said)))


def taken(fields: Iterable[str], said: Mapping[str, Any]) -> set[str]:
    """Those of a preset's `fields` that an experiment which said so much leaves to it."""
    adapted = said.get("use_peft", True)
    return {field for field in fields if field not in said and (adapted or not field.startswith("lora_"))}
