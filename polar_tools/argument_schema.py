"""The JSON schema of what tools take, for whoever calls them from a program: out of the commands, and of the config's types.

It holds what can be said without a look at the machine: names, types, choices, bounds, what goes with what (polar_tools/arguments.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from polar_tools import arguments, options, reference, tools
from polar_tools.reference import DRAFT, JsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel

Refs = Mapping[type["BaseModel"], str]
"""Where the schema of a part of the config stands."""
BOUNDS = {"min": ("minimum", "exclusiveMinimum"), "max": ("maximum", "exclusiveMaximum")}


def of(tool: str) -> JsonSchema:
    """The JSON schema of a tool's arguments. Raises UserError with a suggestion where there is no such tool."""
    forms = {tool: _forms(tool)}
    refs, definitions = _owners(forms)
    return {"$schema": DRAFT, "title": f"polar-tools {tool}", **_arguments(tool, forms[tool], refs), **definitions}


def of_all() -> JsonSchema:
    """The JSON schema of an order: a `tool` by its name, and its `arguments`."""
    forms = {tool: _forms(tool) for tool in arguments.names()}
    refs, definitions = _owners(forms)
    orders = [
        {
            "title": tool,
            "type": "object",
            "properties": {"tool": {"const": tool}, "arguments": _arguments(tool, forms[tool], refs)},
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        }
        for tool in forms
    ]
    return {"$schema": DRAFT, "title": "polar-tools", "type": "object", "oneOf": orders, **definitions}


Forms = dict[str, dict[str, click.Parameter]]


def _forms(tool: str) -> Forms:
    """Every set of arguments that a tool may have, by what decides between them."""
    command = tools.load(tool)
    found = command.forms() if isinstance(command, options.Derived) else {"": command.params}
    return {name: arguments.taken(params) for name, params in found.items()}


def _owners(tools_forms: Mapping[str, Forms]) -> tuple[Refs, JsonSchema]:
    """The schemas of all parts of the config whose fields are arguments, and where each stands."""
    params = [param for forms in tools_forms.values() for known in forms.values() for param in known.values()]
    owners = {param.type.field[0]: None for param in params if isinstance(param.type, options.Yaml) and param.type.field is not None}
    return reference.definitions(list(owners)) if owners else ({}, {})


def _arguments(tool: str, forms: Forms, refs: Refs) -> JsonSchema:
    """The schema of an object that holds a tool's arguments."""
    command = tools.load(tool)
    about = {"description": (command.help or "").partition("\n\n")[0].replace("\n", " ").strip()}
    variants = [*_of_spec(forms, refs), *(_alone(tool, form, known, refs) for form, known in forms.items())]
    return {**about, **variants[0]} if len(variants) == 1 else {**about, "type": "object", "anyOf": variants}


def _of_spec(forms: Forms, refs: Refs) -> list[JsonSchema]:
    """Arguments with a SPEC, of a tool that takes others too."""
    known = next(iter(forms.values()))
    spec = known.get("spec")
    if not isinstance(spec, options.Spec) or not spec.otherwise:
        return []
    return [_object({name: known[name] for name in ("spec", *spec.beside)}, ["spec"], refs, {})]


def _alone(tool: str, form: str, known: Mapping[str, click.Parameter], refs: Refs) -> JsonSchema:
    """Arguments without a SPEC, or of a tool that takes nothing else."""
    spec = known.get("spec")
    if isinstance(spec, options.Spec) and spec.otherwise:
        made = _object({name: param for name, param in known.items() if name != "spec"}, list(spec.otherwise), refs, tools.needs(tool))
        return {"title": form, **made} if form else made
    return _object(known, [name for name, param in known.items() if param.required], refs, tools.needs(tool))


def _object(known: Mapping[str, click.Parameter], required: list[str], refs: Refs, rules: Mapping[str, str]) -> JsonSchema:
    needs = {name: [needed] for name, needed in rules.items() if name in known}
    return {
        "type": "object",
        "properties": {name: _property(param, refs) for name, param in known.items()},
        **({"required": required} if required else {}),
        **({"dependencies": needs} if needs else {}),
        "additionalProperties": False,
    }


def _property(param: click.Parameter, refs: Refs) -> JsonSchema:
    """One argument: its type, and what its help says."""
    kind = param.type
    if isinstance(kind, options.Yaml) and kind.field is not None:
        return {"$ref": f"{refs[kind.field[0]]}/properties/{kind.field[1]}"}
    told: JsonSchema = {"description": param.help} if isinstance(param, click.Option) and param.help else {}
    if arguments.is_flag(param):
        return {**told, "type": "boolean", "default": False}
    one = {**_value(kind), **({"pattern": arguments.ASSIGNMENT} if arguments.is_assignment(param) else {})}
    if arguments.is_list(param):
        return {**told, "type": "array", "items": one, **({"minItems": 1} if param.required else {})}
    return {**told, **one, **_default(param)}


def _value(kind: click.ParamType[Any]) -> JsonSchema:
    if isinstance(kind, options.Written):
        return kind.schema()
    if isinstance(kind, click.Choice):
        return {"enum": list(kind.choices)}
    if isinstance(kind, click.IntRange | click.FloatRange):
        open_ends = {"min": kind.min_open, "max": kind.max_open}
        bounds = {BOUNDS[end][open_ends[end]]: getattr(kind, end) for end in BOUNDS if getattr(kind, end) is not None}
        return {"type": "integer" if isinstance(kind, click.IntRange) else "number", **bounds}
    return {"type": {"integer": "integer", "float": "number", "boolean": "boolean"}.get(kind.name, "string")}


def _default(param: click.Parameter) -> JsonSchema:
    default = param.default
    return {"default": default} if isinstance(default, str | int | float) and not param.required else {}
