"""What several commands take, and what they do with it: a stage on its spec; fields of the config as options."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from pydantic import BaseModel

ONLINE = {"mirror", "publish"}
"""Stages that reach out; all others work where there is no network, and must not notice one."""

REPEATABLE = {"MKL_CBWR": "AUTO,STRICT", "MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What numeric libraries read when they are loaded: the same sums in the same order, whatever else the machine does."""

OFFLINE = "HF_HUB_OFFLINE"
TRUE = {"1", "ON", "YES", "TRUE"}
"""What huggingface_hub reads as yes."""
_told: dict[str, str | None] = {}
"""What the person says of OFFLINE, while a stage says otherwise."""

PACKAGES = {"filters": "filters", "metrics": "metrics", "shape": "shapes", "loss": "losses", "reward_funcs": "rewards"}
"""Fields that name files of ours -> the package in which these lie."""

Decorated = Callable[..., Any]


class Spec(click.Argument):
    """The argument SPEC: a spec.json, or the folder in which it lies."""

    def __init__(self, declared: Sequence[str], otherwise: tuple[str, ...] = (), beside: tuple[str, ...] = ()) -> None:
        super().__init__(declared, required=not otherwise, type=click.Path(path_type=Path))
        self.otherwise, self.beside = otherwise, beside


def spec_argument(*otherwise: str, beside: tuple[str, ...] = ()) -> Callable[[Decorated], Decorated]:
    """The argument SPEC; `otherwise` names the options that are needed without it, if there may be any; `beside` what goes with it."""
    return click.argument("spec", cls=Spec, otherwise=otherwise, beside=beside)


class Derived(click.Command, ABC):
    """A command that has options besides those in its file, once there is an option at all: a spec needs none, and no time for them."""

    @abstractmethod
    def forms(self) -> dict[str, list[click.Parameter]]:
        """Every set of parameters that it may have, by what decides between them."""

    @abstractmethod
    def form(self, given: Mapping[str, Any]) -> list[click.Parameter]:
        """The set for these arguments, by the names of parameters."""

    @abstractmethod
    def check(self, given: Mapping[str, Any]) -> None:
        """Raise ConfigError where the config's types refuse these arguments, as far as that can be said without looking at the machine."""


class Written(click.ParamType[Any]):
    """A value that is written in a form of its own."""

    pattern = ""
    """How it is written, as a regular expression."""

    def schema(self) -> dict[str, Any]:
        """The same as a JSON schema."""
        return {"type": "string", "pattern": self.pattern}


def set_up(stage: str) -> None:
    """What libraries read in this process, before any of them is imported."""
    gc.enable()
    os.environ.update(REPEATABLE)
    _connect(stage in ONLINE)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for a terminal; in a log they are noise


def _connect(online: bool) -> None:
    """Let no library look at a Hub, or let it again as far as the person does: a process may make several stages, one after another."""
    if not online:
        _told.setdefault(OFFLINE, os.environ.get(OFFLINE))
        os.environ[OFFLINE] = "1"
    elif OFFLINE in _told:
        told = _told.pop(OFFLINE)
        os.environ.pop(OFFLINE, None)  # which tests, and callers, may have put back themselves
        os.environ.update({} if told is None else {OFFLINE: told})
    else:
        return
    constants = getattr(sys.modules.get("huggingface_hub"), "constants", None)
    if constants is not None:  # which read the environment when it was imported
        constants.HF_HUB_OFFLINE = os.environ.get(OFFLINE, "").upper() in TRUE


def folder_of(spec: Path) -> Path:
    """The folder of an artifact, by itself or by its spec.json."""
    return spec.parent if spec.name == "spec.json" else spec


def run_stage(stage: str, spec: Path, **how: Any) -> None:
    """Make the artifact of `spec` and say in one line what happened; `how` goes to the stage, and changes nothing of what is made."""
    import importlib
    import time

    from polar_tools import artifact, signals
    from polar_tools.tracking import background

    set_up(stage)
    folder = folder_of(spec)
    clock = time.monotonic()

    def module() -> ModuleType:
        return importlib.import_module(f"polar_tools.stages.{stage}")

    with signals.listening(), background.watched(folder, stage) as begun:

        def work(*told: Any) -> Any:
            begun()
            return module().run(*told, **how)

        worked = artifact.make(folder, stage, work, lambda: module().LIBRARIES)
    click.echo(f"{folder}: {f'made in {time.monotonic() - clock:.1f} s' if worked else 'up to date'}")


def only_the_outcome(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """While this lasts, what stages say on their way goes to stderr, where stdout is for one JSON document."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def tracker_options(command: Decorated) -> Decorated:
    """The options --tracker and -o of commands that may be told of trackers by themselves."""
    named = click.option("--tracker", "trackers", multiple=True, metavar="NAME", help="A tracker: mlflow, wandb or tensorboard.")
    settings = click.option("-o", "--option", "settings", multiple=True, metavar="TRACKER.OPTION=VALUE", help="Its option, value in YAML.")
    return named(settings(command))


def trackers_of(names: Iterable[str], settings: Iterable[str]) -> list[dict[str, Any]]:
    """The same as the config has it under `run.trackers`."""
    found: dict[str, dict[str, Any]] = {name: {"tracker": name} for name in names}
    for field, value in assigned(settings).items():
        name, dot, option = field.partition(".")
        if not dot or name not in found:
            raise click.UsageError(f"`{field}`: write --tracker {name} -o {name}.OPTION=VALUE")
        found[name][option] = value
    return list(found.values())


def pairs(given: Iterable[str], form: str) -> list[tuple[str, str]]:
    """What stands before and behind the `=` of each; raises UsageError, which names the `form`, where there is none."""
    for text in given:
        if not text.partition("=")[1] or not text.partition("=")[0]:
            raise click.UsageError(f"`{text}` is not of the form {form}")
    return [(text.partition("=")[0], text.partition("=")[2]) for text in given]


def assigned(given: Iterable[str]) -> dict[str, Any]:
    """FIELD=VALUE as a dictionary, values in YAML."""
    import yaml

    try:
        return {name: yaml.safe_load(value) for name, value in pairs(given, "FIELD=VALUE")}
    except yaml.YAMLError as error:
        raise click.UsageError(f"a value is no YAML: {error}") from error


class Yaml(click.ParamType[Any]):
    """The value of a field: text where the field takes text, else YAML; several values may stand with commas between them."""

    name = "value"

    def __init__(self, kinds: set[Any], field: tuple[type[BaseModel], str] | None = None) -> None:
        self.kinds, self.field = kinds, field

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the value looks like."""
        words = [str(kind) for kind in self.kinds if isinstance(kind, str)]
        if words:
            return f"[{'|'.join(sorted(words))}]"
        shown = {bool: "[true|false]", int: "INTEGER", float: "NUMBER", str: "TEXT", tuple: "LIST", dict: "MAPPING"}
        return "|".join(text for kind, text in shown.items() if kind in self.kinds) or "YAML"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that the field takes, or the names of the package that it names."""
        from click.shell_completion import CompletionItem

        from polar_tools import completing

        package = PACKAGES.get(self.field[1]) if self.field is not None else None
        words = [*(str(kind) for kind in self.kinds if isinstance(kind, str)), *(("true", "false") if bool in self.kinds else ())]
        words += completing.names(package) if package is not None else []
        return [CompletionItem(word) for word in sorted(words) if word.startswith(incomplete)]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`value` as the field takes it; pydantic says later whether it is right."""
        import yaml

        if not isinstance(value, str) or value in self.kinds or (str in self.kinds and not self._is_structure(value)):
            return value
        try:
            found = yaml.safe_load(value)
        except yaml.YAMLError:
            self.fail(f"`{value}` is no YAML", param, ctx)
        listed = tuple in self.kinds and not isinstance(found, list | dict)
        return [yaml.safe_load(one) for one in value.split(",")] if listed else found

    def _is_structure(self, value: str) -> bool:
        """Whether a value of a field that takes text is meant as something else."""
        plain = (bool, int, float, str, type(None))
        nests = any(kind in (tuple, dict) or (isinstance(kind, type) and kind not in plain) for kind in self.kinds)
        return value == "null" or (nests and value.startswith(("[", "{")))


def of_fields(model: type[BaseModel], names: Iterable[str]) -> list[click.Option]:
    """An option for each of these fields of a part of the config, with what its documentation says."""
    from polar_tools.fields import documentation

    about, made = documentation(model), []
    for name in names:
        info, kinds = model.model_fields[name], _kinds(model.model_fields[name].annotation)
        default = info.get_default(call_default_factory=True)
        shown = "" if default in (None, (), {}, "") or info.is_required() else f"  [default: {_written(default)}]"
        flag_value = "true" if bool in kinds else None  # so that --use-peft is short for --use-peft true
        declared = [f"--{name.replace('_', '-')}", name]
        made.append(
            click.Option(declared, type=Yaml(kinds, (model, name)), help=about.get(name, "") + shown, is_flag=False, flag_value=flag_value)
        )
    return made


def _kinds(annotation: Any) -> set[Any]:
    """What a field takes: bool, int, float, str, tuple, dict, and words that it must be one of."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) in (tuple, dict):
        return {get_origin(annotation)}
    return set().union(*(_kinds(part) for part in get_args(annotation))) or {annotation}


def _written(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
