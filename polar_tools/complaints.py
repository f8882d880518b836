"""What pydantic finds wrong with a config, in words for the person who wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from polar_tools.fields import NAME, SHA256

WORDS = {
    "missing": "is missing",
    "int": "must be a whole number",
    "float": "must be a number",
    "finite_number": "must be finite",
    "bool": "must be true or false",
    "string_type": "must be text",
    "dict": "must be a mapping",
    "model": "must be a mapping",
    "tuple": "must be a list",
    "invalid-json-value": "must be text, a number, true, false, null, a list or a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_long": "must have at most {max_length} characters",
}
"""By the type of pydantic's error, or by its first word."""
PATTERNS = {
    NAME: "must be letters, digits, `_`, `.` and `-`, beginning with a letter or a digit",
    SHA256: "must be 64 hexadecimal digits in lower case",
}
COMPLETE = {"unknown_key", "unknown_name", "value_error", "missing", "too_short", "string_too_short"}
"""Types whose message needs no `but it is ...` behind it."""
MISREAD = {bool: "a bare yes, no, on or off as true or false", date: "this as a date"}
"""What YAML may have made of a text."""
LONGEST = 60


def complaints(error: ValidationError, data: Any) -> list[str]:
    """One line for each place in `data` where something is wrong: the path as it was written, then what is wrong."""
    places: dict[str, list[str]] = {}
    endings: dict[str, str] = {}
    for problem in error.errors():
        for place, message in _said(problem, data):
            places.setdefault(place, []).append(message)
            endings[place] = _ending(problem)
    # The members of a union complain each for itself: of two places the deeper one says more, of two messages each says half.
    deepest = [place for place in places if not any(other.startswith(f"{place}.") for other in places)]
    return [_line(place, list(dict.fromkeys(places[place])), endings[place]) for place in deepest]


def _said(problem: Any, data: Any) -> Iterator[tuple[str, str]]:
    """Where, and what, in words."""
    loc, kind, context = problem["loc"], problem["type"], problem.get("ctx", {})
    place = [*_place(loc[:-1], data), loc[-1]] if kind == "missing" else _place([*loc, context.get("key")], data)
    if kind == "unknown_key":
        yield from ((".".join(map(str, [*place, key])), message) for key, message in context["keys"].items())
    elif kind == "value_error" and not place:
        yield from ((where, what) for where, _, what in (line.partition(": ") for line in str(context["error"]).split("\n")))
    else:
        whose = "its name " if loc and loc[-1] == "[key]" else ""
        yield ".".join(map(str, place)), whose + _words(problem, kind, context)


def _place(loc: Sequence[Any], data: Any) -> list[Any]:
    """The parts of `loc` that stand in `data`: pydantic puts the members of unions between them."""
    place: list[Any] = []
    for part in loc:
        if part in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(part, int):
            data = data[part]
            place.append(part)
    return place


def _words(problem: Any, kind: str, context: dict[str, Any]) -> str:
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    words = WORDS.get(kind) or WORDS.get(kind.partition("_")[0])
    return words.format(**context) if words else problem["msg"].removeprefix("Value error, ")


def _ending(problem: Any) -> str:
    if problem["type"] in COMPLETE:
        return ""
    value = problem["input"]
    written = json.dumps(value, ensure_ascii=False, default=str)
    hints = [f" (YAML reads {words}: quote it)" for kind, words in MISREAD.items() if isinstance(value, kind)]
    return f", but it is {written if len(written) <= LONGEST else written[:LONGEST] + ' ...'}{''.join(hints)}"


def _line(place: str, messages: list[str], ending: str) -> str:
    if WORDS["float"] in messages:
        messages = [message for message in messages if message != WORDS["int"]]
    return f"{place}: {' or '.join(messages).replace(' or must be ', ' or ')}{ending}"
