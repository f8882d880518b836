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
    """The keys whose values differ, in the order of the old value, then of the new one.

    What only one side has is one change, whatever lies below it; so are lists of plain values, and lists of which one is longer.
    """
    return list(_changes(old, new, ""))


def _changes(old: Any, new: Any, key: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(name, old.get(name, ABSENT), new.get(name, ABSENT)) for name in {**old, **new}]
    elif _nested(old) and _nested(new) and len(old) == len(new):
        pairs = [(place, *pair) for place, pair in enumerate(zip(old, new, strict=True))]
    else:
        if old is ABSENT or new is ABSENT or _plain(old) != _plain(new):
            yield Change(key, old, new)
        return
    for name, before, after in pairs:
        yield from _changes(before, after, f"{key}.{name}".lstrip("."))


def _nested(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def shown(value: Any) -> str:
    """A value in one short line."""
    if value is ABSENT:
        return repr(value)
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    text = text.replace("\n", "\\n")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
