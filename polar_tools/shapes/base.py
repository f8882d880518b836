"""What every shape shares: columns found by their spelling and type, messages, and rows that errors can name.

A shape file has these names in this order: ALIASES, BY_NAME_ONLY (it is never recognised by itself), ROLES (standard column -> the
spellings people use, its own first; in the order main, sub, minor), OPTIONAL (roles that may lack), KINDS (what a role's column must hold),
fits(schema), which returns role -> column or None, and convert(table), which gets columns named by their roles and returns those that
methods read. convert keeps every row and all other columns, but for one that bears the name of what it makes. A missing value stays
missing: the filter of that name is for it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError
from polar_tools.filters.base import ROW, replaced

if TYPE_CHECKING:
    import pyarrow as pa

Spellings = Mapping[str, tuple[str, ...]]

SPEAKERS = {
    **dict.fromkeys(("system", "시스템"), "system"),
    **dict.fromkeys(("developer",), "developer"),
    **dict.fromkeys(("user", "human", "prompter", "사용자", "유저", "사람"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", "챗봇", "봇"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response", "ipython"), "tool"),
}
"""What people call who speaks -> its role in a chat template."""

REMARKS = {"source", "src"}
"""Names that more often tell where a row is from: such a column is taken for another role only where no other fits."""


@dataclass(frozen=True)
class Kind:
    """What a column may hold: in words, and by its Arrow type."""

    words: str
    holds: Callable[[pa.DataType], bool]


def is_text(kind: pa.DataType) -> bool:
    """Whether `kind` is text of any length."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether `kind` is a list of any length."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_turns(kind: pa.DataType, speaker: str, content: str) -> bool:
    """Whether `kind` is a list of records with a text `speaker` and a `content`, which is text or a list of parts."""
    import pyarrow as pa

    if not is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    fields = {field.name: field.type for field in kind.value_type}
    return {speaker, content} <= set(fields) and is_text(fields[speaker]) and (is_text(fields[content]) or is_list(fields[content]))


def is_messages(kind: pa.DataType) -> bool:
    """Whether `kind` is messages as OpenAI has them."""
    return is_turns(kind, "role", "content")


TEXT = Kind("text", is_text)
MESSAGES = Kind("a list of messages with `role` and `content`", is_messages)
TEXT_OR_MESSAGES = Kind("text or a list of messages", lambda kind: is_text(kind) or is_messages(kind))
ANYTHING = Kind("anything", lambda kind: True)


def plain(name: str) -> str:
    """A column's name without what people vary in it: capitals, spaces, hyphens, decomposed Hangul."""
    return unicodedata.normalize("NFC", name).strip().casefold().replace(" ", "_").replace("-", "_")


def spelled(schema: pa.Schema, spellings: tuple[str, ...]) -> list[str]:
    """The columns of `schema` that are called so, in the order of `spellings`, what is written exactly so first."""
    names = [name for name in schema.names if name != ROW]
    return [name for spelling in spellings for name in sorted(names, key=lambda name: name != spelling) if plain(name) == plain(spelling)]


def found(schema: pa.Schema, roles: Spellings, kinds: Mapping[str, Kind]) -> dict[str, str]:
    """Role -> column, for every role that has a column of its spelling and kind."""
    fitting = {
        role: [name for name in spelled(schema, spellings) if kinds[role].holds(schema.field(name).type)]
        for role, spellings in roles.items()
    }
    return {role: names[0] for role, names in fitting.items() if names}


def fits(roles: Spellings, optional: Collection[str], kinds: Mapping[str, Kind], schema: pa.Schema) -> dict[str, str] | None:
    """As `found`; None unless all roles are there but for those that are optional."""
    columns = found(schema, roles, kinds)
    return columns if set(roles) <= {*columns, *optional} else None


def unchanged(table: pa.Table) -> pa.Table:
    """`table`, whose columns are already those that methods read."""
    return table


def remade(table: pa.Table, used: Collection[str], made: Mapping[str, Any]) -> pa.Table:
    """`table` with the columns `made`, in front, in place of those `used` for them."""
    import pyarrow as pa

    kept = [name for name in table.column_names if name not in {*used, *made}]
    return pa.table({**made, **{name: table[name] for name in kept}})


def fault(table: pa.Table, place: int, says: str) -> DataError:
    """The error that names a row of the source, counted from 1 over all files, by its place in `table`."""
    return DataError(f"row {table[ROW][place].as_py() + 1}: {says}")


def with_messages(table: pa.Table, *columns: str) -> pa.Table:
    """`table` with the messages in those of `columns` that hold such checked, and their speakers by the names of chat templates."""
    for name in columns:
        if name in table.column_names and is_messages(table.schema.field(name).type):
            table = replaced(table, name, messages(table, name))
    return table


def messages(table: pa.Table, column: str, speaker: str = "role", content: str = "content") -> pa.Array:
    """The turns in `column` as role and content; what else they hold stays. Raises DataError for one that lacks either."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = table[column].combine_chunks()
    turns = lists.flatten()
    fields = dict(zip(turns.type.names, turns.flatten(), strict=True))
    spoken = pc.utf8_lower(pc.utf8_trim_whitespace(fields.pop(speaker).cast(pa.string())))
    known = pc.index_in(spoken, pa.array(list(SPEAKERS), pa.string()))
    said = fields.pop(content)
    _refuse(table, column, lists, pc.is_null(spoken), lambda _: f"has no `{speaker}`; name who speaks, or set the row aside")
    _refuse(table, column, lists, pc.is_null(known), lambda place: _unknown(spoken[place].as_py()))
    _refuse(table, column, lists, _silent(said, fields), lambda _: f"has neither `{content}` nor `tool_calls`; fill it in, or drop the row")
    roles = pa.array(list(SPEAKERS.values()), pa.string()).take(known)
    values = pa.StructArray.from_arrays([roles, said, *fields.values()], ["role", "content", *fields])
    return pa.ListArray.from_arrays(_offsets(lists), values, mask=pc.is_null(lists) if lists.null_count else None)


def _silent(said: pa.Array, fields: Mapping[str, pa.Array]) -> pa.Array:
    """Which turns say nothing and call no tool either."""
    import pyarrow.compute as pc

    silent = pc.is_null(said)
    for name in {"tool_calls", "function_call"} & set(fields):
        silent = pc.and_(silent, pc.is_null(fields[name]))
    return silent


def _offsets(lists: pa.Array) -> pa.Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())


def _refuse(table: pa.Table, column: str, lists: pa.Array, bad: pa.Array, says: Callable[[int], str]) -> None:
    """Raise DataError for the first bad turn, with its row and its number in it."""
    import pyarrow.compute as pc

    place = pc.index(bad, True).as_py()
    if place >= 0:
        rows = pc.list_parent_indices(lists).slice(0, place + 1).to_pylist()
        raise fault(table, rows[-1], f"turn {rows.count(rows[-1])} of `{column}` {says(place)}")


def _unknown(speaker: str) -> str:
    return f"is by `{speaker}`, whom nobody knows; speakers are {', '.join(SPEAKERS)}"
