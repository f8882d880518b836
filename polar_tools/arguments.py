"""Arguments of tools as programs give them, by name; checked, and as a command line.

An argument is called as its option is, with `_` for `-`; what stands without an option (SPEC, CONFIG) by its name in small letters.
Tokens are no arguments: they belong into the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from polar_tools import config_text, options, secrets, tools
from polar_tools.errors import UserError
from polar_tools.spelling import did_you_mean

NOT_FOR_PROGRAMS = ("chat", "completion", "schema")
"""Tools that talk with a person, or tell of the others."""
ASSIGNMENT = "^[^=]+="
"""What a value looks like whose metavar is of the form NAME=VALUE."""


def names() -> list[str]:
    """The tools that a program can call."""
    return [name for name in tools.names() if name not in NOT_FOR_PROGRAMS]


def taken(params: Iterable[click.Parameter]) -> dict[str, click.Parameter]:
    """What a program may give of a command's parameters, by the names that they have there."""
    longest = {max(param.opts, key=len): param for param in params}
    return {name.lstrip("-").replace("-", "_"): param for name, param in longest.items() if name not in secrets.OPTIONS}


def is_list(param: click.Parameter) -> bool:
    """Whether an argument is a list of values."""
    return param.nargs == -1 or (isinstance(param, click.Option) and param.multiple)


def is_flag(param: click.Parameter) -> bool:
    """Whether an argument is true or false."""
    return isinstance(param, click.Option) and param.is_flag


def is_assignment(param: click.Parameter) -> bool:
    """Whether a value is of the form NAME=VALUE."""
    return bool(param.metavar and re.fullmatch(r"[\w.]+=[\w.]+", param.metavar))


def words(tool: str, arguments: Mapping[str, Any]) -> list[str]:
    """The command line, behind `polar-tools`, of a tool with these arguments.

    Raises UserError for names that it hasn't, and for what it would refuse before it looks at the machine.
    """
    if tool not in names():
        raise UserError(f"there is no tool `{tool}` for programs{did_you_mean(tool, names())}")
    command = tools.load(tool)
    known = taken(command.form(arguments) if isinstance(command, options.Derived) else command.params)
    if unknown := [name for name in arguments if name not in known]:
        raise UserError("\n".join(f"{tool} has no argument `{name}`{did_you_mean(name, known)}" for name in unknown))
    given = {name: value for name, value in arguments.items() if value is not None}
    _refuse_incomplete(tool, known, given)
    texts = {name: _texts(f"{tool}: {name}", known[name], value) for name, value in given.items()}
    if isinstance(command, options.Derived):
        command.check({known[name].name or "": value for name, value in given.items()})
    behind = [text for name, param in known.items() if name in given and isinstance(param, click.Argument) for text in texts[name]]
    line = [word for name in given if isinstance(known[name], click.Option) for word in _option(known[name], texts[name])]
    return [tool, *line, *(["--", *behind] if behind else [])]


def _refuse_incomplete(tool: str, known: Mapping[str, click.Parameter], given: Mapping[str, Any]) -> None:
    """Raise UserError where something is missing, or goes with something that isn't there."""
    missing = [name for name, param in known.items() if param.required and name not in given]
    spec = known.get("spec")
    if isinstance(spec, options.Spec) and spec.otherwise:
        missing = [] if "spec" in given else [name for name in spec.otherwise if name not in given]
        if "spec" in given and (more := set(given) - {"spec", *spec.beside}):
            raise UserError(f"{tool}: spec says everything itself; leave out {', '.join(sorted(more))}")
    if missing:
        raise UserError(f"{tool}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    for name, needed in tools.needs(tool).items():
        if name in given and needed not in given:
            raise UserError(f"{tool}: `{name}` goes with `{needed}`")


def _texts(place: str, param: click.Parameter, value: Any) -> list[str]:
    """A value as words of a command line; raises UserError for one that isn't of the parameter's type."""
    if is_flag(param):
        if not isinstance(value, bool):
            raise UserError(f"{place}: must be true or false")
        return [str(value)]
    if not is_list(param) or isinstance(param.type, options.Yaml):
        return [_text(place, param, value)]
    if not isinstance(value, list | tuple):
        raise UserError(f"{place}: must be a list")
    return [_text(place, param, one) for one in value]


def _text(place: str, param: click.Parameter, value: Any) -> str:
    if isinstance(param.type, options.Yaml):
        return value if isinstance(value, str) else config_text.flow(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise UserError(f"{place}: must be a text or a number")
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if "\0" in text:
        raise UserError(f"{place}: must not hold a NUL")
    if is_assignment(param) and not re.match(ASSIGNMENT, text):
        raise UserError(f"{place}: `{text}` is not of the form {param.metavar}")
    if not isinstance(param.type, click.Path):  # which may have to exist, seen from where the tool will run
        try:
            param.type.convert(text, param, None)
        except click.ClickException as error:
            raise UserError(f"{place}: {error.message}") from error
    return text


def _option(param: click.Parameter, texts: Iterable[str]) -> Iterator[str]:
    """An option with each of its values; of a flag only that it is there."""
    longest = max(param.opts, key=len)
    for text in texts:
        if not is_flag(param):
            yield f"{longest}={text}"
        elif text == "True":
            yield longest
