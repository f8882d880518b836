"""The tools of the command line by their names: the list of them is the list of files in commands/."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import click

from polar_tools.errors import UserError
from polar_tools.spelling import did_you_mean

PACKAGE = "polar_tools.commands"
HELP = ["-h", "--help"]


def names() -> list[str]:
    """All tools, sorted, as a person types them."""
    return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__))


def module(name: str) -> ModuleType:
    """The file of a tool; raises UserError with a suggestion where there is none of that name."""
    if name not in names():
        raise UserError(f"there is no tool `{name}`{did_you_mean(name, names())}")
    return importlib.import_module(f"{PACKAGE}.{name.replace('-', '_')}")


def load(name: str) -> click.Command:
    """A tool's command; raises UserError with a suggestion where there is none of that name."""
    command: click.Command = module(name).command
    command.context_settings.setdefault("help_option_names", HELP)  # also where it is asked without the group above it
    return command


def needs(name: str) -> dict[str, str]:
    """Which arguments of a tool go with which other one, where its file says so."""
    found: dict[str, str] = getattr(module(name), "NEEDS", {})
    return found
