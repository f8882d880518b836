"""What one argument of another program is to become, and the command that says what it became."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from polar_tools.cli import group

NOWHERE = "nowhere"
"""Where nothing stands."""


@dataclass(frozen=True)
class Case:
    """An argument's value, and what of it stands where in the config; a place with `$` before it is a variable of the environment.

    Nothing is reached by what has no equivalent. `beside` are arguments without which it would say nothing.
    """

    value: Any
    reaches: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)


def same(below: str = "experiments.training", **values: Any) -> dict[str, Case]:
    """Arguments that are fields of the same name."""
    return {name: Case(value, {f"{below}.{name}": value}) for name, value in values.items()}


def converted(arguments: Mapping[str, Any], program: str, folder: Path) -> dict[str, Any]:
    """Config and notes that arguments become, as the command prints them."""
    file = folder / "arguments.json"
    file.write_text(json.dumps(arguments), encoding="utf-8")
    done = CliRunner().invoke(group, ["convert", str(file), "--from", program, "--json"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def at(config: Any, place: str) -> Any:
    """What stands at a place of a config."""
    for name in place.split("."):
        if isinstance(config, list):
            config = config[int(name)] if int(name) < len(config) else NOWHERE
        else:
            config = config.get(name, NOWHERE) if isinstance(config, dict) else NOWHERE
    return config


def what_became(name: str, case: Case, found: Mapping[str, Any]) -> dict[str, Any]:
    """Of the places that an argument is to reach, what stands there, if its notes lead there."""
    told = {place for note in found["notes"] if note["name"] == name for place in note["places"]}
    reached: dict[str, Any] = {}
    for place, expected in case.reaches.items():
        if place.startswith("$"):
            reached[place] = expected if place[1:] in told else NOWHERE
        else:
            leads = any(place == one or place.startswith(f"{one}.") or one.startswith(f"{place}.") for one in told)
            reached[place] = at(found["config"], place) if leads else "no note leads there"
    return reached
