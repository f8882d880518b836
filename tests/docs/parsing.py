"""Whether a command could be meant: that its program knows its words, without doing anything."""

import argparse
import contextlib
import importlib.util
import io
import re
import tomllib
from functools import cache
from typing import Any

import click

from polar_tools.cli import group
from tests.tiny import REPOSITORY

OTHERS = {
    *(
        "[",
        "cd",
        ".",
        "export",
        "printf",
        "rm",
        "cat",
        "ls",
        "ln",
        "cp",
        "mv",
        "git",
        "rsync",
        "sha256sum",
        "openssl",
        "xdg-open",
        "tmux",
        "curl",
        "jq",
    ),
    *("srun", "sbatch", "sinfo", "sacctmgr", "squeue", "scancel", "scontrol", "apptainer", "docker", "kubectl", "apt-get", "uv"),
    *("dvc", "wandb", "mlflow", "tensorboard", "pytest"),
}
"""Programs of which nothing is known here but that they exist."""


def complaint(words: list[str]) -> str | None:
    """What is wrong with a simple command; None where nothing is."""
    program, rest = words[0].rpartition("/")[2], words[1:]
    known = {"polar-tools": _polar, "snakemake": _snakemake, "make": _make, "python": _python, "python3": _python, "pip": _pip}
    if re.fullmatch(r"python3\.\d+", program):
        program = "python"
    if program in known:
        return known[program](rest)
    return None if program in OTHERS else f"nobody knows the program {program}"


def _polar(words: list[str]) -> str | None:
    """`polar-tools WORDS`, by click itself; files need not be there."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            top = group.make_context("polar-tools", [*words])
            name, command, rest = group.resolve_command(top, [*top._protected_args, *top.args])
            assert command is not None
            command.make_context(name, rest, parent=top)
    except click.exceptions.Exit:
        return None  # --help, --version
    except click.BadParameter as error:
        return None if "does not exist" in error.message else error.format_message()
    except click.ClickException as error:
        return error.format_message()
    return None


@cache
def _snakemake_parser() -> Any:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


def _snakemake(words: list[str]) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            _snakemake_parser().parse_args(words)
    except (SystemExit, argparse.ArgumentError):
        return said.getvalue().strip().splitlines()[-1]
    return None


def _make(words: list[str]) -> str | None:
    rules = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([\w-]+):(?!=)", rules, re.MULTILINE))
    unknown = [word for word in words if "=" not in word and word not in known]
    return f"the Makefile has no {unknown[0]}" if unknown else None


def _python(words: list[str]) -> str | None:
    if words[:1] == ["-m"]:
        module = words[1]
        return None if importlib.util.find_spec(module) else f"there is no module {module}"
    if words and words[0].endswith(".py") and not (REPOSITORY / words[0]).is_file():
        return f"there is no {words[0]}"
    return None


def _pip(words: list[str]) -> str | None:
    extras = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    asked = {extra.strip() for word in words for found in re.findall(r"^(?:polar-tools|\.)\[(.*?)\]$", word) for extra in found.split(",")}
    return f"there is no extra {', '.join(sorted(asked - extras))}" if asked - extras else None
