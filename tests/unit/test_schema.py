"""`polar-tools schema`: what it accepts the tools accept, and what nobody knows both refuse."""

import json
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator
from pydantic import TypeAdapter, ValidationError

from polar_tools import argument_schema, arguments, options, tools
from polar_tools.cli import group
from polar_tools.errors import UserError

TRAIN = {"method": "sft", "model_name_or_path": "org/name", "train_data": "rows.csv", "output_dir": "out"}
RIGHT: dict[str, list[dict[str, Any]]] = {
    "train": [
        {"spec": "results/a/seed0/train", "preflight": False},
        {**TRAIN, "learning_rate": 1e-05, "max_steps": 3, "use_peft": True, "target_modules": ["q_proj"], "eval_strategy": "no"},
        {**TRAIN, "filters": ["missing", {"name": "duplicates", "columns": ["prompt"]}], "columns": {"prompt": "q", "completion": "a"}},
        {**TRAIN, "method": "dpo", "beta": 0.2, "seeds": [0, 1], "tracker": ["mlflow"], "option": ["mlflow.tracking_uri=x"]},
        {**TRAIN, "system_prompt": "[INST] {a} \" ' $(x) `y` --token -- ", "max_length": None},
    ],
    "evaluate": [{"spec": "x"}, {"model": "m", "test_data": "t", "output": "o", "num_beams": 2, "stop_strings": ["a, b", "\n"], "seed": 3}],
    "prepare": [{"source": "rows.csv", "output": "--out", "set": ["filters=[missing]", "split.test_size=3"]}],
    "pull-push": [{"source": "a/b", "target": "c/d", "bandwidth": "10MB", "jobs": 4, "allow": ["*.json"], "private": True}],
    "publish": [{"path": "x", "dry_run": True}, {"path": "x", "target": ["a/b"], "private": True, "waive": ["licenses=we asked"]}],
    "compare": [{"what": ["a:base", "-b"], "samples": 100, "seed": 0}],
    "score": [{"predictions": "-", "metrics": "rouge", "option": ["rouge.tokenizer=char"], "json": True}],
    "run": [{"config": "config/config.yaml", "profile": "slurm", "target": ["a", "b"], "cores": 2}, {}],
    "track": [{"paths": ["tests"], "follow": 2.5}],
}
WRONG: dict[str, list[dict[str, Any]]] = {
    "train": [
        {},
        {**TRAIN, "spec": "x"},
        {**TRAIN, "method": "sfd"},
        {**TRAIN, "beta": 0.1},
        {**TRAIN, "lora_r": 0},
        {**TRAIN, "use_peft": "maybe"},
        {**TRAIN, "filters": ["nothing"]},
        {**TRAIN, "option": ["mlflow.x=1"]},
        {"spec": "x", "learning_rate": 1},
    ],
    "evaluate": [{"model": "m"}, {"model": "m", "test_data": "t", "output": "o", "num_beams": 0}],
    "prepare": [{"source": "a", "output": "b", "set": ["x"]}, {"source": 1.5, "output": ["b"]}],
    "pull-push": [{"source": "a/b", "target": "c/d", "bandwidth": "fast"}, {"source": "a/b", "target": "c/d", "target_repo_type": "x"}],
    "publish": [{"path": "x", "private": True}, {}],
    "compare": [{"what": ["a"], "samples": 5}, {"what": "a"}],
    "run": [{"cores": 0}],
}
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    0.5,
    1.0,
    1e-5,
    "",
    "x",
    "no",
    "auto",
    "null",
    [],
    ["x"],
    [1],
    {},
    {"x": "y"},
    {"x": 1},
]


@cache
def schema(tool: str) -> dict[str, Any]:
    return argument_schema.of(tool)


def accepts(tool: str, given: dict[str, Any]) -> bool:
    return bool(Draft7Validator(schema(tool)).is_valid(given))


def parsed(words: list[str]) -> click.Context:
    """What the command line makes of words, without running anything."""
    return tools.load(words[0]).make_context(words[0], words[1:])


def plain(value: Any) -> Any:
    """A value as JSON would have it."""
    return list(map(plain, value)) if isinstance(value, list | tuple) else str(value) if isinstance(value, Path) else value


def test_every_schema_is_one() -> None:
    for tool in arguments.names():
        Draft7Validator.check_schema(schema(tool))
    Draft7Validator.check_schema(argument_schema.of_all())


@pytest.mark.parametrize(("tool", "given"), [(tool, given) for tool, listed in RIGHT.items() for given in listed])
def test_what_the_schema_accepts_the_tool_accepts(tool: str, given: dict[str, Any]) -> None:
    Draft7Validator(schema(tool)).validate(given)
    seen = parsed(arguments.words(tool, given)).params
    command = tools.load(tool)
    known = arguments.taken(command.form(given) if isinstance(command, options.Derived) else command.params)
    for name, value in given.items():
        if value is not None:
            assert plain(seen[known[name].name or ""]) == (10_000_000 if name == "bandwidth" else value), name


@pytest.mark.parametrize(("tool", "given"), [(tool, given) for tool, listed in WRONG.items() for given in listed])
def test_what_is_wrong_both_refuse(tool: str, given: dict[str, Any]) -> None:
    assert not accepts(tool, given)
    with pytest.raises(UserError):
        arguments.words(tool, given)


@pytest.mark.parametrize("tool", arguments.names())
def test_an_unknown_key_is_refused_by_both(tool: str) -> None:
    right = RIGHT.get(tool, [{}])[0]
    assert not accepts(tool, {**right, "nonsense": 1})
    with pytest.raises(UserError, match="has no argument `nonsense`"):
        arguments.words(tool, {**right, "nonsense": 1})


@pytest.mark.parametrize("tool", arguments.names())
def test_tokens_are_no_arguments(tool: str) -> None:
    for form in (schema(tool), *schema(tool).get("anyOf", [])):
        assert not {"token", "source_token", "target_token"} & set(form.get("properties", {}))


def fields() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every field of the config that `train` takes: its name, its type, its schema. What methods share comes once."""
    seen = set()
    command, whole = tools.load("train"), schema("train")
    assert isinstance(command, options.Derived)
    for form in whole["anyOf"][1:]:
        for name, param in arguments.taken(command.form({"method": form["title"]})).items():
            if isinstance(param.type, options.Yaml) and param.type.field is not None:
                annotation = get_type_hints(param.type.field[0], include_extras=True)[name]
                if (name, str(annotation)) not in seen:
                    seen.add((name, str(annotation)))
                    yield name, annotation, reduce(lambda part, key: part[key], form["properties"][name]["$ref"].split("/")[1:], whole)


def test_what_the_schema_of_a_field_accepts_its_type_accepts() -> None:
    looked_at = 0
    for name, annotation, part in fields():
        validator = Draft7Validator({**part, "$defs": schema("train")["$defs"]})
        listed = [value for option in (part, *part.get("anyOf", [])) for value in option.get("enum", [])]
        for value in filter(validator.is_valid, [*VALUES, *listed, *([part["default"]] if "default" in part else [])]):
            looked_at += 1
            try:
                TypeAdapter(annotation).validate_python(value)
            except ValidationError as error:  # what only a look at the text itself tells, no schema can
                assert {one["type"] for one in error.errors()} == {"value_error"}, f"{name}: {value!r}: {error}"
    assert looked_at > 500


def test_what_is_printed() -> None:
    whole = json.loads(CliRunner().invoke(group, ["schema"]).stdout)
    assert Draft7Validator(whole).is_valid({"tool": "train", "arguments": TRAIN})
    assert not Draft7Validator(whole).is_valid({"tool": "train", "arguments": {**TRAIN, "max_step": 1}})
    assert not Draft7Validator(whole).is_valid({"tool": "trian", "arguments": {}})
    assert json.loads(CliRunner().invoke(group, ["schema", "train"]).stdout) == schema("train")
    assert json.loads(CliRunner().invoke(group, ["schema", "config"]).stdout)["properties"]["experiments"]
    refused = CliRunner().invoke(group, ["schema", "trian"])
    assert "did you mean `train`?" in str(refused.exception)
