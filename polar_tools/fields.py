"""The grammar of the config: frozen models, references between sections, slices of an experiment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from polar_tools.spelling import did_you_mean as did_you_mean

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What a person may call a thing: it becomes a folder and a wildcard."""
SHA256 = r"^[0-9a-f]{64}$"


class Frozen(BaseModel):
    """Base of every part of the config: immutable, no unknown key at any depth."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = list(cls.model_fields)
            unknown = sorted(str(key) for key in data if key not in cls.model_fields)
            if unknown:
                keys = {key: f"unknown key `{key}`{did_you_mean(key, known) or ', known are: ' + ', '.join(known)}" for key in unknown}
                raise PydanticCustomError("unknown_key", "unknown keys", {"keys": keys})
        return data


@cache
def documentation(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the docstring below it, or below the field of that name in a base.

    Read from the source, and only when somebody asks: pydantic's `use_attribute_docstrings` reads it whenever a program starts.
    """
    import ast
    import inspect
    import textwrap

    found: dict[str, str] = {}
    for cls in reversed([cls for cls in model.__mro__ if issubclass(cls, Frozen)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[ast.unparse(field.target)] = inspect.cleandoc(str(below.value.value))
    return {name: text for name, text in found.items() if name in model.model_fields}


@dataclass(frozen=True)
class Ref:
    """Marks a field that names an entry of one of these sections of the config."""

    sections: tuple[str, ...]


ModelRef = Annotated[str, Ref(("models", "experiments"))]
DatasetRef = Annotated[str, Ref(("datasets",))]
PreparedRef = Annotated[str, Ref(("datasets", "mixtures"))]
EvaluationRef = Annotated[str, Ref(("evaluations",))]


@dataclass(frozen=True)
class Slice:
    """Marks which stages, besides train, read a field of an experiment."""

    stages: tuple[str, ...]
    train: bool = True


Rendered = Annotated[T, Slice(("tokenize", "rank", "evaluate", "harness"))]
"""A field that decides which token ids a model sees, in training and in evaluation."""
Watched = Annotated[T, Slice(("tokenize",))]
"""A field that names what is looked at while training."""
Loaded = Annotated[T, Slice(("rank", "evaluate", "harness"))]
"""A field that decides how a model is loaded and run, in training and in evaluation."""
Planned = Annotated[T, Slice((), train=False)]
"""A field that only the plan reads: it changes which artifacts there are, never what is in one."""


def replaced(model: Model, kind: type[Any], new: Callable[[Any, str], str]) -> Model:
    """`model` with `new(marker, string)` in place of every string, at any depth, whose type carries a marker of `kind`."""

    def renewed(value: Any, markers: list[Any]) -> Any:
        if isinstance(value, dict):
            return {key: renewed(item, markers) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return tuple(renewed(item, markers) for item in value)
        if isinstance(value, BaseModel):
            return replaced(value, kind, new)
        return new(markers[0], value) if markers and isinstance(value, str) else value

    marked = {name: [marker for marker in metadata if isinstance(marker, kind)] for name, metadata in _metadata(type(model)).items()}
    values = {name: getattr(model, name) for name in marked}
    return model.model_copy(update={name: renewed(value, marked[name]) for name, value in values.items() if _holds(value)})


def _holds(value: Any) -> bool:
    """Whether a marked string may be in a value."""
    return isinstance(value, dict | tuple | list | BaseModel | str)


def payload_of(path: str) -> str:
    """The artifact whose payload folder `path` is: payloads always lie one level below their artifact."""
    return path.rpartition("/")[0]


@dataclass(frozen=True)
class Payload:
    """Marks a field of a spec that holds the payload folder of another artifact."""


PayloadPath = Annotated[str, Payload()]


def marked(model: BaseModel, kind: type[T]) -> Iterator[tuple[str, T, str]]:
    """Every string in a field of `model`, at any depth, whose type carries a marker of `kind`: (path, marker, string)."""
    for name, metadata in _metadata(type(model)).items():
        value, markers = getattr(model, name), [marker for marker in metadata if isinstance(marker, kind)]
        if not markers and (value is None or isinstance(value, str | int | float)):
            continue  # what most fields are, and plans look at many
        for path, item in _leaves(name, value):
            if isinstance(item, BaseModel):
                yield from ((f"{path}.{below}", marker, text) for below, marker, text in marked(item, kind))
            elif isinstance(item, str):
                yield from ((path, marker, item) for marker in markers)


@cache
def _metadata(model: type[BaseModel]) -> dict[str, list[Any]]:
    return {name: [*field.metadata, *_nested_metadata(field.annotation)] for name, field in model.model_fields.items()}


def _nested_metadata(annotation: Any) -> Iterator[Any]:
    """The markers inside a type such as `ModelRef | None` or `dict[str, ModelRef]`."""
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield from _nested_metadata(argument)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}", item)
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from _leaves(f"{path}.{number}", item)
    else:
        yield path, value
