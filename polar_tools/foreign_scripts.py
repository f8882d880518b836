"""What a shell script that starts a training says: the options of its one such command, with the script's own variables filled in.

The script isn't run. What it would compute (`$(...)`) is unknown, but for the folder in which it lies itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polar_tools.command_lines import ASSIGNMENT, options, words_of
from polar_tools.errors import UserError

COMMAND = re.compile(r"\s--?[A-Za-z]")
"""What a line has that calls a program with options, or ..."""
SCRIPT = re.compile(r"[\w/.$}\"'-]\.py[\"']?(\s|$)")
"""... with a script of Python."""
STARTERS = ("python", "python3", "torchrun", "accelerate", "deepspeed", "autotrain", "polar-tools", "uv", "srun", "nohup")
"""Programs that start a training, or are started before it."""
BEGINNING = re.compile(r"^(?:(?:if|then|else|exec|time|!)\s+|[A-Za-z_]\w*=\S*\s+)+")
"""What may stand before a program's name."""
ENDING = re.compile(r"\s*(?:;\s*then|[|&;]|>|2>).*$")
"""What may stand behind its options."""
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
CONFIG = "config"
CONFIGS = (".json", ".yaml", ".yml")
PROCESSES = ("--nproc_per_node", "--nproc-per-node", "--num_gpus", "--num_processes")
"""How launchers are told the number of processes."""


def read(text: str, file: Path) -> tuple[dict[str, Any], list[Path]]:
    """The options of the command, and the configuration files that it is given; raises UserError where there isn't one command."""
    lines = re.sub(r"\\\r?\n", " ", text).splitlines()
    variables = _variables(lines, file)
    commands = [line for line in lines if _starts_training(line)]
    if len(commands) != 1:
        raise UserError(f"{file} has {len(commands)} commands that start a training with options; keep the one that trains")
    filled = _filled(BEGINNING.sub("", commands[0].strip()), variables)
    words = words_of(ENDING.sub("", filled), str(file))
    return _said(words, file)


def _starts_training(line: str) -> bool:
    bare = BEGINNING.sub("", line.strip())
    program = bare.split(maxsplit=1)[0].rpartition("/")[2] if bare else ""
    known = program in STARTERS and " -c " not in bare
    return known and bool(COMMAND.search(bare) or SCRIPT.search(bare))


def _variables(lines: list[str], file: Path) -> dict[str, str]:
    """What the script assigns, in its order; what it would compute is left out."""
    found: dict[str, str] = {}
    for line in lines:
        match = ASSIGNMENT.match(line)
        if match is None or _starts_training(line):
            continue
        value = match[2].strip()
        if "$(" in value or "`" in value:
            if folder := _own_folder(value, file):
                found[match[1]] = str(folder)
            continue
        found[match[1]] = _filled(" ".join(words_of(value, str(file))), found)
    return found


def _own_folder(value: str, file: Path) -> Path | None:
    """The folder of the script, or one above it, where `value` asks for that."""
    if "dirname" not in value or not ("BASH_SOURCE" in value or "$0" in value):
        return None
    return file.parent.joinpath(*[".."] * value.count("/.."))


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """`text` with variables in place of their names; one that nobody knows is what stands as its default, or else stays."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1] or match[3], match[2]
        if name in variables:
            return variables[name]
        return _filled(default, variables) if default is not None else match[0]

    return VARIABLE.sub(value, text)


def _said(words: list[str], file: Path) -> tuple[dict[str, Any], list[Path]]:
    """The options behind the Python script, or else behind the first word that is one; a launcher's number of processes too."""
    words = [word for word in words if word not in ("$@", "$*")]
    script = next((place for place, word in enumerate(words) if word.endswith(".py")), None)
    first = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    begin = first if script is None else script + 1
    between = next((place for place in range(begin, len(words)) if words[place].startswith("-")), len(words))
    configs = [_beside(word, file) for word in words[begin:between] if word.endswith(CONFIGS)]
    found = {name: value for name, value in options(words[between:]).items() if not _is_unknown(value)}
    if isinstance(found.get(CONFIG), str) and found[CONFIG].endswith(CONFIGS):
        configs.append(_beside(found.pop(CONFIG), file))
    return {**_processes(words[: script or 0]), **found}, configs


def _processes(words: list[str]) -> dict[str, Any]:
    """How many processes the launcher is told to start."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        told = value if equals else next(iter(words[place + 1 :]), "")
        if name in PROCESSES and told.isdigit():
            return {"nproc_per_node": int(told)}
    return {}


def _is_unknown(value: Any) -> bool:
    return isinstance(value, str) and ("$(" in value or VARIABLE.search(value) is not None)


def _beside(name: str, file: Path) -> Path:
    """A file by its name: from here, or from the script's folder, or the one above, in which such scripts are started."""
    places = [Path(name), file.parent / name, file.parent.parent / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"{file} reads {name}, which is neither here nor beside it; give that file itself")
    return found
