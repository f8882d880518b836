"""Another program's configuration as a config of this project: which program's it is, the config, and what became of each argument."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from polar_tools import config as configs
from polar_tools import discovery, secrets
from polar_tools.conversions.base import Draft, Kind, Note
from polar_tools.dataset_config import Dataset
from polar_tools.errors import UserError
from polar_tools.fields import Frozen, did_you_mean
from polar_tools.foreign_arguments import Computed

WORDS: dict[Kind, str] = {
    "became": "->",
    "safer": "-> safer:",
    "dropped": "dropped:",
    "secret": "secret ->",
    "environment": "environment ->",
    "chosen": "chosen:",
}

OVERWRITE = "overwrite_output_dir"
"""What programs that build on transformers call it."""


def converted(arguments: Mapping[str, Any], program: str | None = None) -> Draft:
    """The draft that a program's arguments become, its config held to the types of this project.

    `program` is the name of a file in polar_tools/conversions; without it, the one that knows most of the names. Raises UserError that
    lists the names that it doesn't know, and ConfigError for values that mean nothing here.
    """
    secrets.learn([{name.rpartition(".")[2]: value} for name, value in arguments.items()])
    module = discovery.load("conversions", program or recognised(arguments))
    arguments = _known(module, arguments)
    given = {module.NAMES[name]: value for name, value in arguments.items()}
    draft = Draft(overwrite=given.get(OVERWRITE) is True)
    module.convert(given, draft)
    if silent := set(given) - {note.name for note in draft.notes}:
        raise AssertionError(f"{module.__name__} says nothing of {sorted(silent)}")
    draft.notes = _as_written(draft.notes, module.NAMES, arguments)
    configs.parse(draft.config, f"what {module.TITLE} becomes")
    draft.config = ordered(draft.config)
    return draft


def recognised(arguments: Mapping[str, Any]) -> str:
    """Whose arguments these are, by how many of their names each program knows; raises UserError where none or several could be meant."""
    modules = discovery.modules("conversions").items()
    counts = {name: sum(_spelled(one, module.NAMES) in module.NAMES for one in arguments) for name, module in modules}
    best = [name for name, count in counts.items() if count == max(counts.values()) > 0]
    if len(best) != 1:
        choice = ", ".join(best or discovery.names("conversions"))
        raise UserError(f"it can't be told whose configuration this is; say it: --from one of {choice}")
    return best[0]


def ordered(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its sections, and the fields of each part, in the order in which the types have them; so it reads best."""
    parts: dict[str, type[Frozen]] = {"models": configs.Model, "datasets": Dataset}
    found: dict[str, Any] = {}
    for section in (name for name in configs.Config.model_fields if name in config):
        value = config[section]
        if section == "experiments":
            value = {name: _sorted(part, discovery.load("methods", part["method"]).Config.model_fields) for name, part in value.items()}
        elif section in parts:
            value = {name: _sorted(part, parts[section].model_fields) for name, part in value.items()}
        found[section] = value
    return found


def line(note: Note) -> str:
    """One note as a line for a person."""
    said = ", ".join(note.places)
    return " ".join(part for part in (note.name, WORDS[note.kind], said, f"({note.text})" if said and note.text else note.text) if part)


def _sorted(part: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    order = list(fields)
    return dict(sorted(part.items(), key=lambda item: order.index(item[0])))


def _known(module: ModuleType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by names that the program has, those below a name of its own as one mapping; raises UserError for all others.

    What a script computes under names that aren't the program's is its own business.
    """
    found: dict[str, Any] = {}
    unknown = []
    for given, value in arguments.items():
        name = _spelled(given, module.NAMES)
        above = _above(name, module.NAMES)
        if name in module.NAMES:
            found[name] = _value(name, value)
        elif above is not None:
            found.setdefault(above, {})[name.removeprefix(f"{above}.")] = value
        elif not isinstance(value, Computed):
            unknown.append(given)
    if unknown:
        lines = [f"{module.TITLE} has no `{name}`{did_you_mean(name, list(module.NAMES))}" for name in unknown]
        raise UserError("\n".join(lines))
    return found


def _spelled(name: str, known: Mapping[str, str]) -> str:
    """A name as the program has it: parsers of command lines take dashes for underscores."""
    return name if name in known else name.replace("-", "_")


def _above(name: str, known: Mapping[str, str]) -> str | None:
    """The name of a mapping that an argument stands in."""
    parts = name.split(".")
    return next((above for end in range(len(parts) - 1, 0, -1) if (above := ".".join(parts[:end])) in known), None)


def _value(name: str, value: Any) -> Any:
    """What an argument says; of a secret that a script computes nothing, for it comes from the environment here too."""
    if not isinstance(value, Computed):
        return value
    if secrets.FIELD.search(name.rpartition(".")[2]):
        return None
    raise UserError(f"{value.place}: `{name}` is computed, and no script is run here; write its value down")


def _as_written(notes: list[Note], known: Mapping[str, str], arguments: Mapping[str, Any]) -> list[Note]:
    """The notes with arguments called as the person called them; one that was said again under another name says so."""
    spelled = {known[name]: name for name in arguments}
    again = [name for name in arguments if spelled[known[name]] != name]
    found = [note._replace(name=spelled.get(note.name, note.name)) for note in notes]
    return [*found, *(Note("dropped", name, (), f"{spelled[known[name]]} says it too, and counts") for name in again)]
