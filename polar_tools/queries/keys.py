"""Where two nested values differ: key by key, old value and new."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LONGEST = 80
"""Characters of a value that are shown."""


class _Absent:
    """Stands for a key that isn't there."""

    def __repr__(self) -> str:
        return "(not there)"


ABSENT = _Absent()


@dataclass(frozen=True)
class Change:
    """One key and its two values; ABSENT stands for none."""

    key: str
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        """For a program to read: `old` and `new` are left out where there is none."""
        values = {"old": self.old, "new": self.new}
        return {"key": self.key, **{name: value for name, value in values.items() if value is not ABSENT}}

    def __str__(self) -> str:
        return f"{self.key}: {shown(self.old)} -> {shown(self.new)}"


def changes(old: Any, new: Any) -> list[Change]:
    """The keys whose values differ, sorted as they stand in the old value, then in the new one."""
    before, after = dict(_leaves(old, "")), dict(_leaves(new, ""))
    keys = [*before, *(key for key in after if key not in before)]
    found = [Change(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]
    return [change for change in found if change.old is ABSENT or change.new is ABSENT or change.old != change.new]


def shown(value: Any) -> str:
    """A value in one short line."""
    if value is ABSENT:
        return repr(value)
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    text = text.replace("\n", "\\n")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Keys and values without anything below them; lists of plain values count as one value."""
    below: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        below = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value):
        below = [(str(place), item) for place, item in enumerate(value)]
    if not below:
        yield key, list(value) if isinstance(value, tuple) else value
    for name, item in below:
        yield from _leaves(item, f"{key}.{name}".lstrip("."))
