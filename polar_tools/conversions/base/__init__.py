"""What every foreign configuration's file has, and the draft of a config that it fills.

A file has TITLE (whose configuration it is), NAMES (every spelling that the program takes -> the name that it stands for here) and
`convert(arguments, draft)`: arguments by those names, as the person gave them, and only those. Each of them must be noted in the draft, by
what it became or why it became nothing; a name that isn't in NAMES never comes so far. What several programs took from the same libraries
stands beside this file: `places` (where models and rows lie) and `trainer_arguments` (transformers' TrainingArguments).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["became", "safer", "dropped", "secret", "environment", "chosen"]
"""`became` a field; became one that is `safer` than what was asked for; was `dropped`, for it has no equivalent; is a `secret`, which no
config holds, or belongs into the `environment` otherwise; was `chosen` by us, for nothing was said."""
MODEL, DATA, EXPERIMENT, EVALUATION = "model", "data", "training", "held_out"
"""What the parts of a converted config are called."""
MODEL_AT, DATA_AT, TRAINING_AT = f"models.{MODEL}", f"datasets.{DATA}", f"experiments.{EXPERIMENT}"
"""Where they stand."""


class Note(NamedTuple):
    """What one argument became."""

    kind: Kind
    name: str
    """As the other program calls it; empty for what was chosen without an argument."""
    places: tuple[str, ...]
    """The fields that it reached, as paths in the config, or the variable of the environment that holds it."""
    text: str
    """What a person should know of it."""


@dataclass(frozen=True)
class To:
    """An argument that is a field here: its path in the config, and what becomes of the value."""

    place: str
    value: Callable[[Any], Any] = lambda value: value
    text: str = ""


@dataclass(frozen=True)
class Dropped:
    """An argument that has no equivalent, and why."""

    why: str


@dataclass(frozen=True)
class Secret:
    """An argument that no config may hold, and the variable of the environment that takes its place."""

    variable: str


Rule = To | Dropped | Secret


@dataclass
class Draft:
    """A config in the making, and what each argument became."""

    config: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Secrets, and addresses of stores, by the variables that hold them, for a run at once; they are never written."""
    overwrite: bool = False
    """Whether a run at once may replace a finished training of other settings."""

    def put(self, place: str, value: Any, name: str = "", text: str = "", kind: Kind | None = None) -> None:
        """Set the field at `place` (names with dots between them); `name` is the argument that says so, if one does."""
        *above, last = place.split(".")
        part = self.config
        for key in above:
            part = part.setdefault(key, {})
        part[last] = value
        self.note(kind or ("became" if name else "chosen"), name, (place,), text)

    def note(self, kind: Kind, name: str, places: tuple[str, ...] = (), text: str = "") -> None:
        """Say what became of an argument, where that isn't a field that was put."""
        self.notes.append(Note(kind, name, places, text))

    def drop(self, arguments: Mapping[str, Any], names: Iterable[str], why: str) -> None:
        """Say of those of `names` that were given why they become nothing."""
        for name in names:
            if name in arguments:
                self.note("dropped", name, (), why)

    def keep_secret(self, name: str, variable: str, value: Any) -> None:
        """Have an argument that no config may hold stand in the environment, where there is a value."""
        self.environment |= {variable: str(value)} if value else {}
        self.note("secret", name, (variable,), f"belongs into the environment: export {variable}=...")

    def apply(self, arguments: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
        """Do what the rules say of those arguments that have one."""
        for name in (name for name in arguments if name in rules):
            rule, value = rules[name], arguments[name]
            if isinstance(rule, To):
                self.put(rule.place, rule.value(value), name, rule.text)
            elif isinstance(rule, Dropped):
                self.note("dropped", name, (), rule.why)
            else:
                self.keep_secret(name, rule.variable, value)
