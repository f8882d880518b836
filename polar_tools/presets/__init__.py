"""Values of an experiment's fields for a purpose, one YAML file each, found by its name."""

from functools import cache
from pathlib import Path
from typing import Any

from polar_tools.fields import did_you_mean

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """What presets there are, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


@cache
def load(name: str) -> dict[str, Any]:
    """The fields of a preset; raises ValueError for a name that there isn't."""
    import yaml

    if name not in names():
        raise ValueError(f"preset: there is no `{name}`{did_you_mean(name, names()) or '; known are: ' + ', '.join(names())}")
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return found
