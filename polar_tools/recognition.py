"""What shape a dataset has: said outright, or told from its columns, and never guessed between two that fit equally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from polar_tools import discovery
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import did_you_mean
from polar_tools.filters.base import ROW
from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa

POSITIONS = ("dataset_main_column", "dataset_sub_column", "dataset_minor_column")
NEAREST = 3
"""Shapes that are named where none fits."""


@dataclass(frozen=True)
class Recognised:
    """A dataset's shape, the data's column for each of its roles, and why it was taken for that."""

    name: str
    columns: dict[str, str]
    reason: str

    def convert(self, table: pa.Table) -> pa.Table:
        """A table of the data with the standard columns; all others stay, but for one that bears the name of a standard one."""
        roles = {column: role for role, column in self.columns.items()}
        kept = [name for name in table.column_names if name in roles or name not in self.columns]
        named = table.select(kept).rename_columns([roles.get(name, name) for name in kept])
        converted: pa.Table = discovery.load("shapes", self.name).convert(named)
        return converted


def recognise(schema: pa.Schema, shape: str | None = None, given: Mapping[str, str] | None = None) -> Recognised | None:
    """The shape of data with `schema`; None where no shape fits, and `unrecognised` says why.

    `shape` fixes it, `given` names columns of roles outright. Raises ConfigError for an unknown shape, and DataError for a column
    that isn't there, a shape that doesn't fit, and two readings of which neither is better.
    """
    given = given or {}
    seen = _as_given(schema, given)
    names = [named(shape)] if shape else [name for name, module in discovery.modules("shapes").items() if not module.BY_NAME_ONLY]
    wanted = set() if shape else {role for name in names for role in discovery.load("shapes", name).ROLES if role in given}
    readings = {name: columns for name in names if (columns := _fits(name, seen)) is not None and wanted <= set(columns)}
    best = [name for name in readings if not any(_beats(readings[other], readings[name]) for other in readings)]
    if shape and not best:
        raise DataError(f"the data doesn't have the shape {names[0]}: {', '.join(_lacks(names[0], seen))}. {_has(schema)}")
    if len(best) > 1:
        listed = "".join(f"\n  {name}: {_in_words(_originals(readings[name], given))}" for name in best)
        raise DataError(f"the data fits {len(best)} shapes, and neither better than another:{listed}\nname the one with `shape: NAME`")
    return _recognised(best[0], readings, seen, given, bool(shape)) if best else None


def unrecognised(schema: pa.Schema, given: Mapping[str, str] | None = None) -> str:
    """Why `recognise` returns None: the columns there are, and what the nearest shapes lack."""
    seen = _as_given(schema, given or {})
    lacks = {name: _lacks(name, seen) for name in discovery.names("shapes")}
    begun = [name for name in lacks if any(base.spelled(seen, names) for names in discovery.load("shapes", name).ROLES.values())]
    nearest = sorted((name for name in begun if lacks[name]), key=lambda name: (len(lacks[name]), name))[:NEAREST]
    lines = [f"no shape is recognised, and the columns stay as they are. {_has(schema)}; {'nearest' if nearest else 'known'} are"]
    lines += [f"  {name}: {', '.join(lacks[name])}" for name in nearest] or [f"  {name}: {', '.join(_required(name))}" for name in lacks]
    lines += [f"`shape: {name}` would fit, and is taken only where it is named" for name in lacks if not lacks[name]]
    return "\n".join([*lines, "name columns with `columns: {NAME: column}`"])


def named(shape: str) -> str:
    """The name of the shape that is called `shape`, perhaps by another name; raises ConfigError where there is none."""
    known = discovery.aliases("shapes")
    if shape not in known:
        hint = did_you_mean(shape, list(known)) or f"; known are: {', '.join(discovery.names('shapes'))}"
        raise ConfigError(f"there is no shape `{shape}`{hint}")
    return known[shape]


def by_position(shape: str | None, main: str | None = None, sub: str | None = None, minor: str | None = None) -> dict[str, str]:
    """Role -> column for columns given by position: the roles of the shape in their order.

    As many optional roles count as there are columns for. Raises ConfigError for a gap, and for more columns than the shape has roles.
    """
    columns = [column for column in (main, sub, minor) if column is not None]
    if not columns:
        return {}
    if [main, sub, minor][: len(columns)] != columns:
        raise ConfigError(f"columns go in the order {', '.join(POSITIONS)}; one before the last is missing")
    if shape is None:
        raise ConfigError(f"{POSITIONS[0]}: name the `shape` too, which says what the columns are, or use `columns: {{NAME: column}}`")
    roles = list(discovery.load("shapes", named(shape)).ROLES)
    if len(columns) > len(roles):
        raise ConfigError(f"{POSITIONS[len(roles)]}: the shape {named(shape)} has no more columns than {', '.join(roles)}")
    required = _required(named(shape))
    counted = [*required, *(role for role in roles if role not in required)][: len(columns)]
    return dict(zip([role for role in roles if role in counted], columns, strict=True))


def _as_given(schema: pa.Schema, given: Mapping[str, str]) -> pa.Schema:
    """`schema` as if the columns that are given had the names of their roles, and nothing else had."""
    import pyarrow as pa

    columns = [name for name in schema.names if name != ROW]
    for role, column in given.items():
        if column not in columns:
            raise DataError(f"{role}: there is no column `{column}`{did_you_mean(column, columns)}. {_has(schema)}")
    taken = {column: role for role, column in given.items()}
    if len(taken) < len(given):
        twice = next(column for role, column in given.items() if taken[column] != role)
        raise DataError(f"the column `{twice}` is named for two roles; each needs one of its own")
    return pa.schema(
        [field.with_name(taken.get(field.name, field.name)) for field in schema if field.name in taken or field.name not in given]
    )


def _fits(name: str, schema: pa.Schema) -> dict[str, str] | None:
    columns: dict[str, str] | None = discovery.load("shapes", name).fits(schema)
    return columns


def _beats(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a reading uses all columns of another and more; or the same ones, more of which bear the names it has for them itself."""
    mine, theirs = set(one.values()), set(other.values())
    return mine > theirs or (mine == theirs and _own(one) > _own(other))


def _own(columns: Mapping[str, str]) -> int:
    return sum(role == column for role, column in columns.items())


def _recognised(name: str, readings: Mapping[str, dict[str, str]], seen: pa.Schema, given: Mapping[str, str], fixed: bool) -> Recognised:
    columns = _originals(readings[name], given)
    _refuse_rivals(name, readings[name], seen)
    why = "`shape` says so" if fixed else "its columns are named so"
    beaten = [other for other in readings if other != name]
    rather = f"; {', '.join(beaten)} would fit too, and less closely" if beaten else ""
    return Recognised(name, columns, f"{why}: {_in_words(columns)}{rather}")


def _refuse_rivals(name: str, columns: Mapping[str, str], seen: pa.Schema) -> None:
    """Raise DataError where another column would do as well for a role: none of the two has the role's own name."""
    for role, column in columns.items():
        rest = _fits(name, seen.remove(seen.get_field_index(column))) or {}
        if column != role and role in rest and base.plain(rest[role]) not in base.REMARKS:
            both = f"`{column}` or `{rest[role]}`"
            raise DataError(f"as {name}, {role} may be {both}; say which with `columns: {{{role}: {column}}}` or the other")


def _originals(columns: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The data's own names in place of those that `_as_given` wrote."""
    return {role: given.get(column, column) for role, column in columns.items()}


def _in_words(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{role} is `{column}`" for role, column in columns.items())


def _has(schema: pa.Schema) -> str:
    """The columns of `schema`; long types are cut."""
    kinds = {field.name: str(field.type) for field in schema if field.name != ROW}
    return "The data has " + ", ".join(f"`{name}` ({kind if len(kind) < 40 else kind[:36] + ' ...'})" for name, kind in kinds.items())


def _required(name: str) -> list[str]:
    module: ModuleType = discovery.load("shapes", name)
    return [role for role in module.ROLES if role not in module.OPTIONAL]


def _lacks(name: str, schema: pa.Schema) -> list[str]:
    """What keeps `schema` from being of this shape."""
    module = discovery.load("shapes", name)
    missing = [role for role in _required(name) if role not in base.found(schema, module.ROLES, module.KINDS)]
    others = {role: base.spelled(schema, module.ROLES[role]) for role in missing}
    return [
        f"`{others[role][0]}` holds {schema.field(others[role][0]).type}, not {module.KINDS[role].words}"
        if others[role]
        else f"no `{role}`"
        for role in missing
    ]
