"""Another program's configuration as a config of this project: which program's it is, the config, and what became of each argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools import config as configs
from polar_tools import discovery
from polar_tools.conversions.base import Draft, Kind, Note
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean

WORDS: dict[Kind, str] = {"became": "->", "safer": "-> safer:", "dropped": "dropped:", "secret": "secret ->", "chosen": "chosen:"}


def converted(arguments: Mapping[str, Any], program: str | None = None) -> Draft:
    """The draft that a program's arguments become, its config held to the types of this project.

    `program` is the name of a file in polar_tools/conversions; without it, the one that knows most of the names. Raises UserError that
    lists the names that it doesn't know, and ConfigError for values that mean nothing here.
    """
    module = discovery.load("conversions", program or recognised(arguments))
    known = module.NAMES
    if unknown := [name for name in arguments if name not in known]:
        lines = [f"{module.TITLE} has no `{name}`{did_you_mean(name, list(known))}" for name in unknown]
        raise UserError("\n".join(lines))
    draft = Draft()
    given = {known[name]: value for name, value in arguments.items()}
    module.convert(given, draft)
    if silent := set(given) - {note.name for note in draft.notes}:
        raise AssertionError(f"{module.__name__} says nothing of {sorted(silent)}")
    configs.parse(draft.config, f"what {module.TITLE} becomes")
    return draft


def recognised(arguments: Mapping[str, Any]) -> str:
    """Whose arguments these are, by how many of their names each program knows; raises UserError where none or several could be meant."""
    counts = {name: sum(one in module.NAMES for one in arguments) for name, module in discovery.modules("conversions").items()}
    best = [name for name, count in counts.items() if count == max(counts.values()) > 0]
    if len(best) != 1:
        choice = ", ".join(best or discovery.names("conversions"))
        raise UserError(f"it can't be told whose configuration this is; say it: --from one of {choice}")
    return best[0]


def line(note: Note) -> str:
    """One note as a line for a person."""
    said = ", ".join(note.places)
    return " ".join(part for part in (note.name, WORDS[note.kind], said, f"({note.text})" if said and note.text else note.text) if part)
