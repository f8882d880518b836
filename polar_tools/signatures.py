"""Arguments that a person gives to a library's dataclass, checked by name and by type against that very class."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from polar_tools.complaints import complaints
from polar_tools.errors import ConfigError
from polar_tools.fields import did_you_mean


def checked(cls: type, given: Mapping[str, Any], where: str, taken: Mapping[str, str]) -> dict[str, Any]:
    """`given` as `cls` wants it; `taken` says of names that can't stand here what to write instead.

    Raises ConfigError, with `where` before the name, for one that `cls` doesn't have and for a value of another type.
    """
    known = {field.name for field in dataclasses.fields(cls) if field.init}
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}.{name}: {cls.__name__} has no such argument{did_you_mean(name, sorted(known))}")
        if name in taken:
            raise ConfigError(f"{where}.{name}: {taken[name]}")
    hints = get_type_hints(cls)
    lenient = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())
    types: dict[str, Any] = {f"x{place}": (hints[name], ...) for place, name in enumerate(given)}
    model = create_model("Given", __config__=lenient, **types)
    # Names are numbered, for some are those of pydantic's own methods.
    numbered = {f"x{place}": value for place, value in enumerate(given.values())}
    try:
        found = model.model_validate_json(json.dumps(numbered))
    except ValidationError as error:
        places = dict(zip(numbered, given, strict=True))
        lines = [line.partition(":") for line in complaints(error, numbered)]
        named = [(*place.partition("."), message) for place, _, message in lines]
        raise ConfigError("\n".join(f"{where}.{places[name]}{dot}{rest}:{message}" for name, dot, rest, message in named)) from None
    return {name: getattr(found, f"x{place}") for place, name in enumerate(given)}
