"""Arguments as other programs take them, from files and command lines, as one mapping of names to values."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from polar_tools.errors import UserError

ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*)$")
COMMAND = re.compile(r"\s--?[A-Za-z]")
"""What a line of a shell script has that calls a program with options."""


def read(files: Sequence[Path], words: Sequence[str] = ()) -> dict[str, Any]:
    """What the files and the words of a command line say together; what comes later counts. Mappings become names with dots between them.

    A file is YAML, JSON, Python or `.env` (lines `key = value`), or a shell script with one command. Raises UserError for what is none.
    """
    found: dict[str, Any] = {}
    for file in files:
        found |= flat(_of_file(file))
    return found | options(words)


def options(words: Sequence[str]) -> dict[str, Any]:
    """`--name value`, `--name=value`, `--name` alone (true), `--no-name` as it stands; several values become a list."""
    found: dict[str, Any] = {}
    name = None
    for word in words:
        if re.match(r"^--?[A-Za-z]", word):
            name, equals, value = word.lstrip("-").partition("=")
            found[name] = scalar(value) if equals else True
            name = None if equals else name
        elif name is None:
            raise UserError(f"`{word}` belongs to no option; write --NAME {word}")
        else:
            before = found[name]
            found[name] = scalar(word) if before is True else [*(before if isinstance(before, list) else [before]), scalar(word)]
    return found


def scalar(text: str) -> Any:
    """A value of a command line or an environment file: a number, true, false or null where it reads as one, else text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text in ("", "None", "none", "null"):
        return None if text != "none" else text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


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
        return _of_shell(text, file)
    return _of_lines(text.splitlines(), file)


def _mapping(load: Any, text: str, file: Path) -> dict[str, Any]:
    try:
        found = load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} must hold a mapping of names to values")
    return found


def _of_python(text: str, file: Path) -> dict[str, Any]:
    """Assignments of plain values, and keyword arguments of calls that have them; the script isn't run."""
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
    except ValueError as error:
        raise UserError(f"{file}:{node.lineno}: `{name}` is computed, and no script is run here; write its value down") from error


def _of_shell(text: str, file: Path) -> dict[str, Any]:
    """The options of the script's one command that has any, variables of the script filled in."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    assigned = [match for line in lines if (match := ASSIGNMENT.match(line)) and not COMMAND.search(line)]
    variables = {match[1]: match[2].strip().strip("\"'") for match in assigned}
    commands = [line for line in lines if COMMAND.search(line) and not line.lstrip().startswith("#")]
    if len(commands) != 1:
        raise UserError(f"{file} has {len(commands)} commands with options; keep the one that trains")
    filled = re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], match[0]), commands[0])
    words = shlex.split(filled, comments=True)
    return options(words[next(place for place, word in enumerate(words) if word.startswith("--")) :])


def _of_lines(lines: Iterable[str], file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = ASSIGNMENT.match(line)
        if match is None:
            raise UserError(f"{file}:{number}: `{line.strip()}` is not of the form NAME=VALUE")
        words = shlex.split(match[2], comments=True)
        found[match[1]] = scalar(" ".join(words))
    return found
