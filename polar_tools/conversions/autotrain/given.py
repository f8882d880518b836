"""What a person told AutoTrain, with its defaults behind it, and the fields of a training that this becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from polar_tools import discovery
from polar_tools.conversions.autotrain.names import dashed, nothing
from polar_tools.conversions.base import EXPERIMENT, Draft, Kind
from polar_tools.errors import UserError

FIELDS = f"experiments.{EXPERIMENT}"
OPTIONAL = (
    *("valid_split", "mixed_precision", "quantization", "chat_template", "model_ref", "max_completion_length", "target_modules"),
    *("prompt_text_column", "rejected_text_column", "username", "distributed_backend", "padding", "log", "target_column"),
)
"""Parameters for which `none` is no value but the lack of one."""


class Given:
    """Arguments by AutoTrain's names, its defaults, and the draft of a training by `method` that they fill."""

    def __init__(self, arguments: Mapping[str, Any], defaults: Mapping[str, Any], draft: Draft, method: str) -> None:
        self.arguments, self.defaults, self.draft, self.method = arguments, defaults, draft, method
        self._ours = discovery.load("methods", method).Config.model_fields

    def __getitem__(self, name: str) -> Any:
        default = self.defaults.get(name)
        value = self.arguments.get(name, default)
        return nothing(value) if name in OPTIONAL else _number(value, default)

    def said(self, name: str) -> bool:
        """Whether the person said it."""
        return name in self.arguments

    def field(self, field: str, name: str, value: Any = ..., text: str = "", kind: Kind | None = None) -> None:
        """Let the parameter `name` be this field of the training; where it wasn't said, only if AutoTrain's default isn't ours."""
        found = self[name] if value is ... else value
        if not self.said(name) and kind is None and found == self._ours[field].get_default(call_default_factory=True):
            return
        self.put(f"{FIELDS}.{field}", name, found, text, kind)

    def put(self, place: str, name: str, value: Any, text: str = "", kind: Kind | None = None) -> None:
        """Let the parameter `name` be the field at `place` of the config."""
        if self.said(name):
            self.draft.put(place, value, name, text, kind)
        else:
            also = f"AutoTrain's default of {dashed(name)}"
            self.draft.put(place, value, "", f"{also}: {text}" if text else also, kind or "chosen")

    def link(self, place: str, value: Any) -> None:
        """Put what the parts of the config are called by, of which nobody need be told."""
        Draft(self.draft.config).put(place, value)

    def unread(self, names: Iterable[str], why: str) -> None:
        """Say of those parameters that were given why they become nothing."""
        for name in names:
            if self.said(name):
                self.draft.note("dropped", name, (), why)

    def number(self, name: str) -> Any:
        """A parameter that must be a whole number; raises UserError where it is none."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{dashed(name)}: `{value}` is no whole number")
        return value


def _number(value: Any, default: Any) -> Any:
    """`value`, or the number that a text is where one is wanted: YAML takes `3e-5` for text, and AutoTrain for a number."""
    if isinstance(value, str) and isinstance(default, int | float) and not isinstance(default, bool):
        try:
            return float(value) if isinstance(default, float) else int(value)
        except ValueError:
            return value
    return value
