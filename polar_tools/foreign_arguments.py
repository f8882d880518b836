"""Arguments as other programs take them, from files and command lines, as one mapping of names to values."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polar_tools import foreign_scripts
from polar_tools.command_lines import ASSIGNMENT, scalar, words_of
from polar_tools.command_lines import options as options
from polar_tools.errors import UserError

REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")
"""A value that stands elsewhere among the arguments, as OmegaConf has it."""


@dataclass(frozen=True)
class Computed:
    """What a script would compute: nobody knows it who doesn't run the script."""

    place: str
    """File and line."""


def read(files: Sequence[Path], words: Sequence[str] = ()) -> dict[str, Any]:
    """What the files and the words of a command line say together; what comes later counts. Mappings become names with dots between them.

    A file is YAML, JSON, Python or `.env` (lines `key = value`), or a shell script with one command. Raises UserError for what is none.
    No message holds a value: it may be a secret.
    """
    found: dict[str, Any] = {}
    for file in files:
        found |= flat(_of_file(file))
    found |= options(words)
    return {name: _filled(value, found) for name, value in found.items()}


def _filled(value: Any, found: Mapping[str, Any]) -> Any:
    """A text with what `${NAME}` in it stands for, where that is among the arguments."""
    if not isinstance(value, str):
        return value
    return REFERENCE.sub(lambda match: str(found[match[1]]) if isinstance(found.get(match[1]), str | int | float) else match[0], value)


def flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Every value of nested mappings by its path, names with dots between them; empty mappings say nothing."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found


def _of_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"there is no file {file}") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(f"{file} is no text: {error}") from error
    if file.suffix == ".json":
        return _mapping(json.loads, text, file)
    if file.suffix in (".yaml", ".yml"):
        return _mapping(yaml.safe_load, text, file)
    if file.suffix == ".py":
        return _of_python(text, file)
    if file.suffix in (".sh", ".bash"):
        said, configs = foreign_scripts.read(text, file)
        return {**{name: value for config in configs for name, value in _of_file(config).items()}, **said}
    return _of_lines(text.splitlines(), file)


def _mapping(load: Any, text: str, file: Path) -> dict[str, Any]:
    try:
        found = load(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: no JSON: {error.msg}") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{file}{line}: no YAML: {error.problem}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} can't be read: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} must hold a mapping of names to values")
    return found


def _of_python(text: str, file: Path) -> dict[str, Any]:
    """Assignments of plain values, and Computed for others; the script isn't run."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: no Python: {error.msg}") from error
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found |= _literal(node.targets[0].id, node.value, file)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found |= _literal(node.target.id, node.value, file)
    return found


def _literal(name: str, node: ast.expr, file: Path) -> dict[str, Any]:
    try:
        return {name: ast.literal_eval(node)}
    except (ValueError, TypeError):
        return {name: Computed(f"{file}:{node.lineno}")}


def _of_lines(lines: Iterable[str], file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = ASSIGNMENT.match(line)
        if match is None:
            raise UserError(f"{file}:{number}: the line is not of the form NAME=VALUE")
        words = words_of(match[2], f"{file}:{number}")
        found[match[1]] = scalar(" ".join(words))
    return found
