"""What lies in a folder is what there is: methods, filters, metrics and storage backends by directory listing."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, ValidationInfo, WrapValidator
from pydantic_core import PydanticCustomError

from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean


@cache
def names(package: str) -> tuple[str, ...]:
    """The names of the modules of a package of ours, sorted; `base` is the contract and not one of them."""
    path = importlib.import_module(f"polar_tools.{package}").__path__
    return tuple(sorted(info.name for info in pkgutil.iter_modules(path) if info.name != "base"))


@cache
def modules(package: str) -> dict[str, ModuleType]:
    """Every module of a package of ours by its name."""
    return {name: importlib.import_module(f"polar_tools.{package}.{name}") for name in names(package)}


def load(package: str, name: str) -> ModuleType:
    """One module of a package of ours; raises UserError with a suggestion when there is none of that name."""
    if name not in names(package):
        raise UserError(f"there is no `{name}` in {package}{did_you_mean(name, list(names(package)))}")
    return modules(package)[name]


@cache
def aliases(package: str) -> dict[str, str]:
    """Every accepted spelling of a module's name -> its name."""
    return {alias: name for name, module in modules(package).items() for alias in (name, *getattr(module, "ALIASES", ()))}


def union(package: str, attribute: str, key: str) -> Any:
    """The type `one of the modules' classes, chosen by the value of key`, for a field of the config.

    A bare string is short for {key: string}. Aliases become the module's own name.
    """
    spellings = aliases(package)

    def canonical(value: Any, handler: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            value = {key: value}
        if isinstance(value, dict):
            name = value.get(key)
            if name not in spellings:
                raise PydanticCustomError("unknown_name", "{message}", {"message": _unknown(package, key, name, spellings)})
            value = {**value, key: spellings[name]}
        return handler(value)

    members = tuple(Annotated[getattr(module, attribute), Tag(name)] for name, module in modules(package).items())
    return Annotated[_union_of(members), Field(discriminator=Discriminator(_tag(key))), WrapValidator(canonical)]


def _tag(key: str) -> Any:
    return lambda value: value.get(key) if isinstance(value, dict) else getattr(value, key)


def _union_of(members: tuple[Any, ...]) -> Any:
    from typing import Union

    return Union[members]


def _unknown(package: str, key: str, name: Any, spellings: dict[str, str]) -> str:
    known = ", ".join(names(package))
    if name is None:
        return f"`{key}` is missing, one of: {known}"
    return f"there is no `{name}` in {package}{did_you_mean(str(name), list(spellings))}; known are: {known}"


