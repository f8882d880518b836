"""What lies in a folder is what there is: methods, filters, metrics and storage backends by directory listing."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

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
    return importlib.import_module(f"polar_tools.{package}.{name}")


@cache
def aliases(package: str) -> dict[str, str]:
    """Every accepted spelling of a module's name -> its name."""
    return {alias: name for name, module in modules(package).items() for alias in (name, *getattr(module, "ALIASES", ()))}


@dataclass(frozen=True)
class NameOf:
    """Marks a field of the config that names one of a package's modules, or one of the words in `others`. Aliases become the own name."""

    package: str
    others: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._meant)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": [*self.others, *aliases(self.package)]}

    def _meant(self, spelling: Any) -> str:
        if spelling in self.others or spelling in names(self.package):
            return str(spelling)
        known = [*self.others, *aliases(self.package)]
        if str(spelling) in known:
            return aliases(self.package)[str(spelling)]
        message = f"there is no `{spelling}` in {self.package}{did_you_mean(str(spelling), known) or '; known are: ' + ', '.join(known)}"
        raise PydanticCustomError("unknown_name", "{message}", {"message": message})


@dataclass(frozen=True)
class OneOf:
    """Marks a field of the config that holds one of the modules' classes, chosen by the value of `key`; its type is their base.

    A bare string is short for {key: string}. Aliases become the module's own name. (pydantic's own tagged union would import
    all modules and build the validators of all classes first: the more methods there are, the slower every command.)
    """

    package: str
    attribute: str
    key: str

    def __get_pydantic_core_schema__(self, source: type[BaseModel], handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(lambda value: value if isinstance(value, source) else self._chosen(value))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"oneOf": [variant for name in names(self.package) for variant in self._variants(name, handler)]}

    def _chosen(self, value: Any) -> BaseModel:
        given = {self.key: value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            raise PydanticCustomError("dict_type", "Input should be a mapping")
        name = self._meant(given.get(self.key))
        return self._member(name).model_validate({**given, self.key: name})

    def _member(self, name: str) -> type[BaseModel]:
        member: type[BaseModel] = getattr(load(self.package, name), self.attribute)
        return member

    def _meant(self, spelling: Any) -> str:
        """The module that `spelling` means; all of them are imported only where it is the name of none."""
        if spelling in names(self.package):
            return str(spelling)
        if str(spelling) in aliases(self.package):
            return aliases(self.package)[str(spelling)]
        raise PydanticCustomError("unknown_name", "{message}", {"message": self._unknown(spelling), "key": self.key})

    def _unknown(self, spelling: Any) -> str:
        known = f"; known are: {', '.join(names(self.package))}"
        if spelling is None:
            return f"`{self.key}` is missing{known}"
        hint = did_you_mean(str(spelling), list(names(self.package))) or did_you_mean(str(spelling), list(aliases(self.package)))
        return f"there is no `{spelling}` in {self.package}{hint or known}"

    def _variants(self, name: str, handler: GetJsonSchemaHandler) -> list[dict[str, Any]]:
        """The JSON schemas of what may be written for a member: an object, and the bare name where nothing else is required."""
        member = self._member(name)
        member.model_rebuild()
        reference = handler(member.__pydantic_core_schema__)
        definition = handler.resolve_ref_schema(reference)
        description = " ".join((load(self.package, name).__doc__ or "").split("\n\n")[0].split())
        spellings = [spelling for spelling, meant in aliases(self.package).items() if meant == name]
        named = {"const": name} if spellings == [name] else {"enum": spellings}
        bare = [] if definition.get("required") else [{**named, "description": description}]
        definition |= {"title": name, "description": description, "required": [self.key, *definition.get("required", [])]}
        field = definition["properties"][self.key]
        definition["properties"][self.key] = {"type": "string", "description": field.get("description", ""), **named}
        return [reference, *bare]
