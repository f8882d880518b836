"""What a shell proposes behind TAB: names that there are, told without importing what they name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import tools

if TYPE_CHECKING:
    import click

Complete = Callable[["click.Context", "click.Parameter", str], list[str]]
CONFIG = "config/config.yaml"
ARTIFACTS = ("resources/*/*/spec.json", "results/*/*/spec.json", "results/*/*/*/spec.json", "results/*/*/*/*/spec.json")
"""Where artifacts lie in a project; nothing deeper is looked through, for a shell waits."""


def names(package: str) -> list[str]:
    """The names of the files of a package of ours, sorted."""
    path = importlib.import_module(f"polar_tools.{package}").__path__
    return sorted(info.name for info in pkgutil.iter_modules(path) if info.name != "base")


def of(package: str) -> Complete:
    """The names of a package of ours."""
    return lambda context, param, begun: _beginning(names(package), begun)


def several_of(package: str) -> Complete:
    """The same, with commas between them."""

    def complete(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
        before, comma, last = begun.rpartition(",")
        return [f"{before}{comma}{name}" for name in _beginning(names(package), last)]

    return complete


def all_tools(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """What `polar-tools schema` knows."""
    return _beginning(["config", *tools.names()], begun)


def experiments(context: click.Context, param: click.Parameter, begun: str) -> list[Any]:
    """The experiments of the config, and what there is in the folder."""
    return _with_files(_beginning(_in_config(context, "experiments"), begun), begun)


def evaluations(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """The evaluations of the config."""
    return _beginning(_in_config(context, "evaluations"), begun)


def artifacts(context: click.Context, param: click.Parameter, begun: str) -> list[Any]:
    """The artifacts that are planned or made in this folder, and the experiments of the config."""
    found = [spec.parent.as_posix() for pattern in ARTIFACTS for spec in Path().glob(pattern)]
    return _with_files(_beginning([*_in_config(context, "experiments"), *sorted(found)], begun), begun)


def sources(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """The models and datasets of the config."""
    return _beginning([*_in_config(context, "models"), *_in_config(context, "datasets")], begun)


def _with_files(words: Iterable[str], begun: str) -> list[Any]:
    """Words, and where there are none the files that a shell proposes by itself."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words] or [CompletionItem(begun, type="file")]


def _in_config(context: click.Context, section: str) -> list[str]:
    """The names in a section of the config that the command line names; none where it can't be read."""
    import yaml

    file = Path(context.params.get("config") or CONFIG)
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))[section]
        return sorted(map(str, found))
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return []


def _beginning(words: Iterable[str], begun: str) -> list[str]:
    return [word for word in words if word.startswith(begun)]
