"""Whether a piece of YAML in a page could stand in a config: as a whole, laid over a config that has what it leaves out, or as fields."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import yaml

from polar_tools import config, discovery
from polar_tools.errors import ConfigError
from polar_tools.methods import base as methods
from tests.tiny import REPOSITORY

REFERENCES = {"model": "models", "ref_model": "models", "dataset": "datasets", "evaluations": "evaluations", "references": "models"}
SOURCE = {"source": "file://rows.csv", "split": {"test_size": 0.1, "seed": 0}}
LEFT_OUT = {"datasets": SOURCE, "experiments": {"method": "sft", "model": "smollm2", "dataset": "descriptions"}}
"""What a page that changes a line of an entry leaves to the one that is there."""


def complaint(text: str) -> str | None:
    """What is wrong with a piece of a config; None where nothing is."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return str(error)
    if given is None:
        return None  # a comment alone
    if not isinstance(given, dict):
        return "it is no mapping"
    if not set(given) <= set(config.Config.model_fields):
        return _as_fields(given)
    if "experiments" in given and "models" in given:
        return _refusal(given)
    return _refusal(_completed(given))


def _refusal(whole: dict[str, Any]) -> str | None:
    try:
        config.parse(whole, "the page")
    except ConfigError as error:
        return str(error)
    return None


@functools.cache
def _default() -> dict[str, Any]:
    path = REPOSITORY / "config/config.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _completed(given: dict[str, Any]) -> dict[str, Any]:
    """The default run with `given` over it, and something for every name that is nowhere."""
    whole = copy.deepcopy(_default())
    for section, value in given.items():
        old = whole.get(section)
        whole[section] = _over(old, value, LEFT_OUT.get(section, {})) if isinstance(old, dict) and isinstance(value, dict) else value
    return _with_names(whole, given)


def _with_names(whole: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`whole` with something for every name that `given` refers to and that is nowhere."""
    for section, name in list(_named(given)):
        known = whole.setdefault(section, {})
        if name.endswith(".jsonl"):
            continue
        if name not in known and (section != "models" or name not in whole["experiments"]) and not _is_mixture(whole, section, name):
            known[name] = {"evaluations": {"dataset": "descriptions"}, "models": {"source": "file://model"}}.get(section, dict(SOURCE))
    return whole


def _over(old: dict[str, Any], new: dict[str, Any], left_out: dict[str, Any]) -> dict[str, Any]:
    """The entries of a section; one without a source or a model changes only what it says, of that of its name or of a simple one."""
    partial = {
        name for name, entry in new.items() if isinstance(entry, dict) and not {"source", "model", "dataset", "experiment"} & set(entry)
    }
    laid = {name: {**old.get(name, left_out), **entry} if name in partial else entry for name, entry in new.items()}
    return {**old, **laid}


def _is_mixture(whole: dict[str, Any], section: str, name: str) -> bool:
    return section == "datasets" and name in whole.get("mixtures", {})


def _named(piece: Any) -> Iterator[tuple[str, str]]:
    """Names that a piece refers to, with the sections in which they must be."""
    if isinstance(piece, list):
        for part in piece:
            yield from _named(part)
    elif isinstance(piece, dict):
        for key, value in piece.items():
            if key in REFERENCES:
                names = value if isinstance(value, list) else [value]
                yield from ((REFERENCES[key], name) for name in names if isinstance(name, str))
            yield from _named(value)


def _as_fields(given: dict[str, Any]) -> str | None:
    """What is wrong with fields of an experiment (of whichever method has them), or of a dataset or evaluation."""
    said = []
    for name in discovery.names("methods"):
        needed = {"rewards": ["length"]} if "rewards" in discovery.load("methods", name).Config.model_fields else {}
        whole = copy.deepcopy(_default())
        fields = {"method": name, "model": "smollm2", "dataset": "descriptions", **needed, **given}
        told = _refusal(_with_names({**whole, "experiments": {"page": fields}}, given))
        if told is None:
            return None
        said.append(told)
    unknown = set(given) - set(methods.Config.model_fields)
    return min(said, key=len) if unknown != set(given) else f"no config has {', '.join(sorted(unknown))} there"
