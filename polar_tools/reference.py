"""What is generated from the config's types: its JSON schema, for editors, and its reference, for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core.core_schema import DictSchema, ModelSchema

from polar_tools import discovery
from polar_tools.config import Config
from polar_tools.fields import SHA256, Frozen, documentation
from polar_tools.filters import base as filters
from polar_tools.losses import base as losses
from polar_tools.methods.base import Config as Experiment
from polar_tools.metrics import base as metrics
from polar_tools.trackers import base as trackers

JsonSchema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest draft that yaml-language-server knew for most of its life."""

CHOICES: dict[str, tuple[str, str, type[Frozen]]] = {
    "experiments": ("methods", "method", Experiment),
    "filters": ("filters", "name", filters.Options),
    "loss": ("losses", "name", losses.Options),
    "metrics": ("metrics", "name", metrics.Options),
    "trackers": ("trackers", "tracker", trackers.Options),
}
"""Fields that hold one of several classes -> the package, the key that chooses, and the fields that all of them share."""

BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}

INTRODUCTION = """\
# Every field of the config

Generated from the types in `polar_tools/`; `pytest tests/test_generated.py --fix` writes it anew. A heading is the path of what its
table explains, as error messages write it; NAME stands for a name of your choosing. What has no default must be given.
"""


class _Described(GenerateJsonSchema):
    """pydantic's generator, with docstrings as descriptions and without titles made up from field names."""

    def model_schema(self, schema: ModelSchema) -> JsonSchema:
        made: JsonSchema = super().model_schema(schema)
        cls: type[BaseModel] = schema["cls"]
        for name, text in documentation(cls).items():
            made["properties"][name]["description"] = " ".join(text.split())
        return made

    def dict_schema(self, schema: DictSchema) -> JsonSchema:
        made: JsonSchema = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> JsonSchema:
    """The JSON schema of a config file."""
    return {"$schema": DRAFT, **Config.model_json_schema(schema_generator=_Described)}


def definitions(parts: Sequence[type[BaseModel]]) -> tuple[dict[type[BaseModel], str], JsonSchema]:
    """The JSON schemas of parts of the config as `$defs`, and where the schema of each stands in them."""
    for part in parts:
        part.model_rebuild()
    places, whole = models_json_schema([(part, "validation") for part in parts], schema_generator=_Described)
    return {part: places[part, "validation"]["$ref"] for part in parts}, {"$defs": whole["$defs"]}


def config_schema() -> str:
    """workflow/schemas/config.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def config_page() -> str:
    """config/README.md."""
    schema = json_schema()
    return "\n".join([INTRODUCTION, *_section("The file", schema, "", schema["$defs"])])


def _section(heading: str, schema: JsonSchema, path: str, definitions: JsonSchema) -> Iterator[str]:
    """A heading, a sentence and a table for an object, then the same for all objects below it."""
    table = _table(schema["properties"], schema.get("required", []), definitions)
    yield from (f"## {heading}\n", f"{schema['description']}\n", *table)
    below: dict[str, list[str]] = {}
    for name, field in schema["properties"].items():
        below.setdefault(_entry(field).get("$ref", name), []).append(name)
    for names in below.values():
        entry, step = _entry(schema["properties"][names[0]]), ".NAME" if "patternProperties" in schema["properties"][names[0]] else ""
        if names[0] in CHOICES:
            yield from _choice(names[0], f"{path}{names[0]}{step}", entry["oneOf"], definitions)
        elif "properties" in _resolved(entry, definitions):
            together = ", ".join([f"`{path}{names[0]}{step}`", *(f"`.{name}`" for name in names[1:])])
            yield from _section(together, _resolved(entry, definitions), f"{path}{names[0]}{step}.", definitions)


def _choice(name: str, path: str, variants: list[JsonSchema], definitions: JsonSchema) -> Iterator[str]:
    """What all variants share, once; then what each has of its own."""
    package, key, shared = CHOICES[name]
    objects = [_resolved(variant, definitions) for variant in variants if "$ref" in variant or "properties" in variant]
    common = {field: objects[0]["properties"][field] for field in shared.model_fields}
    common[key] = {"description": common[key]["description"], "enum": [variant["title"] for variant in objects]}
    yield from (
        f"## `{path}`\n",
        f"What all {name if package == 'methods' else package} have in common.\n",
        *_table(common, objects[0]["required"], definitions),
    )
    for variant in objects:
        own = {field: words for field, words in variant["properties"].items() if field not in common}
        remarks = " ".join([variant["description"], *_remarks(package, key, variant, variants)])
        yield from (f"## `{path}`, `{key}: {variant['title']}`\n", f"{remarks}\n", *_table(own, variant["required"], definitions))
        for field, words in own.items():
            chosen = next((option["oneOf"] for option in (words, *words.get("anyOf", ())) if "oneOf" in option), None)
            if field in CHOICES and chosen:
                yield from _choice(field, f"{path}.{field}", chosen, definitions)


def _remarks(package: str, key: str, variant: JsonSchema, variants: list[JsonSchema]) -> Iterator[str]:
    """What is to be said of a variant besides its fields."""
    name, module = variant["title"], discovery.load(package, variant["title"])
    others = [spelling for spelling in variant["properties"][key].get("enum", []) if spelling != name]
    if others:
        yield f"Also written {_codes(others)}."
    if name in [bare.get("const") for bare in variants]:
        yield f"`{name}` alone is short for `{{{key}: {name}}}`."
    if package == "methods":
        yield f"The data needs {', or '.join(' + '.join(f'`{column}`' for column in columns) for columns in module.COLUMNS)}."
        yield f"Measured by {_codes(module.METRICS)} where an evaluation names no metrics."


def _table(fields: dict[str, JsonSchema], required: list[str], definitions: JsonSchema) -> Iterator[str]:
    if fields:
        yield from ("| field | type | default | |", "|---|---|---|---|")
        for name, field in fields.items():
            default = "" if name in required else _default(field["default"], _resolved(field, definitions))
            cells = (f"`{name}`", _type(field), default, field.get("description", ""))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield ""


def _entry(field: JsonSchema) -> JsonSchema:
    """What a field holds: itself, or what stands in it under names or in a list."""
    found: JsonSchema = next(iter(field["patternProperties"].values())) if "patternProperties" in field else field.get("items", field)
    return found


def _resolved(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    found: JsonSchema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _type(field: JsonSchema) -> str:
    """The type of a field in plain words."""
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return _codes(field["enum"])
    if field.get("type") == "array":
        each = field.get("items") or field["prefixItems"][0]
        plural = re.sub("number(?!`)", "numbers", _type(each))  # not in the values of an enum
        return "list" if "oneOf" in each else f"list of {plural}"
    if field.get("pattern") == SHA256:
        return "64 hexadecimal digits"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "nothing"}
    bounds = [f"{sign} {field[bound]}" for bound, sign in BOUNDS.items() if bound in field]
    return " ".join([words.get(field.get("type", ""), "mapping"), " and ".join(bounds)]).strip()


def _default(value: Any, schema: JsonSchema) -> str:
    """A default as it would be written in YAML."""
    if value is None:
        return "nothing"
    if value and value == {name: field.get("default") for name, field in schema.get("properties", {}).items()}:
        return "as below"
    if isinstance(value, dict):
        return f"`{{{', '.join(f'{key}: {inner}' for key, inner in value.items())}}}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
