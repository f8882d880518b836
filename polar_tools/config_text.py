"""A config as YAML that people go on with: the line by which editors complete and check it, comments, and short things on one line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGED = Path(__file__).with_name("config.schema.json")
"""The JSON schema of a config, where this package lies: for a config that isn't in a project."""
IN_PROJECT = Path("workflow/schemas/config.schema.json")
"""The same in a project's folder."""
WIDTH = 100
"""Columns within which what holds nothing nested stands on one line."""


def document(config: Mapping[str, Any], comments: Mapping[str, str] | None = None, folder: Path | None = None, head: str = "") -> str:
    """The text of `config`, with the line for editors at its top.

    `comments` are by the path of what they stand above (`experiments.answer.learning_rate`; positions in lists are no part of paths), and
    `head` stands above all. `folder` is where the file will lie: below a project its schema is named by a relative path, elsewhere
    (None: not known) the packaged one by its URL.
    """
    lines = [f"# yaml-language-server: $schema={schema_for(folder)}", *_comment(head)]
    for number, line in enumerate(_mapping(config, comments or {}, "", 0)):
        if number and not line.startswith(" ") and not lines[-1].startswith("#"):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def schema_for(folder: Path | None) -> str:
    """The schema as a file in `folder` names it."""
    if folder is not None:
        here = folder.resolve()
        for above in (here, *here.parents):
            if (above / IN_PROJECT).is_file():
                return Path(os.path.relpath(above / IN_PROJECT, here)).as_posix()
    return PACKAGED.as_uri()


def _comment(text: str) -> list[str]:
    return [f"# {line}".rstrip() for line in text.splitlines()]


def _mapping(data: Mapping[str, Any], comments: Mapping[str, str], above: str, depth: int) -> Iterator[str]:
    """The lines of a mapping; sections, and what has comments within, stand open."""
    indent = "  " * depth
    for key, value in data.items():
        place = f"{above}{key}"
        yield from (f"{indent}{line}" for line in _comment(comments.get(place, "")))
        flat = f"{indent}{flow(key)}: {flow(value)}"
        nested = any(name.startswith(f"{place}.") for name in comments)
        if isinstance(value, Mapping) and value and (nested or not depth or not _is_short(flat, value)):
            yield f"{indent}{flow(key)}:"
            yield from _mapping(value, comments, f"{place}.", depth + 1)
        elif isinstance(value, list | tuple) and len(flat) > WIDTH and any(_nests(item) for item in value):
            yield f"{indent}{flow(key)}:"
            yield from (f"{indent}- {flow(item)}" for item in value)
        else:
            yield flat


def _is_short(line: str, value: Mapping[str, Any]) -> bool:
    return len(line) <= WIDTH and not any(isinstance(item, Mapping) for item in value.values())


def _nests(item: Any) -> bool:
    """Whether it is worth a line of its own; words go on one."""
    return isinstance(item, Mapping | list | tuple)


def flow(value: Any) -> str:
    """A value on one line of YAML, which reads back as what it is: JSON's `1e-05` would be a text."""
    import yaml

    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    written = yaml.safe_dump(value, allow_unicode=True, width=float("inf")).removesuffix("\n").removesuffix("\n...")
    if isinstance(value, str) and ("\n" in written or (written == value and set(",[]{}") & set(written))):
        return json.dumps(value, ensure_ascii=False)  # a text of several lines, or one that only means itself outside of brackets
    return written
