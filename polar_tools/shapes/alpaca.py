"""Instructions as Alpaca writes them: instruction, perhaps with an input, and output; perhaps with a system prompt and earlier turns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa


def _is_history(kind: pa.DataType) -> bool:
    return base.is_list(kind) and base.is_list(kind.value_type) and base.is_text(kind.value_type.value_type)


ALIASES = ("self_instruct",)
BY_NAME_ONLY = False
ROLES = {
    "instruction": ("instruction", "지시", "지시문"),
    "input": ("input", "context", "입력"),
    "output": ("output", "response", "출력", "응답"),
    "system": ("system", "system_prompt"),
    "history": ("history",),
}
OPTIONAL = ("input", "system", "history")
KINDS = {
    **dict.fromkeys(("instruction", "input", "output", "system"), base.TEXT),
    "history": base.Kind("a list of pairs of texts", _is_history),
}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """Prompt (instruction and input with a blank line between) and completion; messages where there is a column system or history."""
    used = fits(table.schema) or {}
    prompts, completions = _prompts(table, "input" in used), table["output"]
    if not {"system", "history"} & set(used):
        return base.remade(table, used, {"prompt": prompts, "completion": completions})
    nothing = [None] * table.num_rows
    systems, histories = (table[role].to_pylist() if role in used else nothing for role in ("system", "history"))
    rows = zip(systems, histories, prompts.to_pylist(), completions.to_pylist(), strict=True)
    return base.remade(table, used, {"messages": _messages([_dialogue(table, place, *row) for place, row in enumerate(rows)])})


def _prompts(table: pa.Table, with_input: bool) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    instructions = table["instruction"].cast(pa.string())
    if not with_input:
        return instructions
    inputs = pc.fill_null(table["input"].cast(pa.string()), "")
    blank = pc.equal(pc.utf8_trim_whitespace(inputs), "")
    return pc.if_else(blank, instructions, pc.binary_join_element_wise(instructions, inputs, "\n\n"))


def _dialogue(
    table: pa.Table, place: int, system: str | None, history: list[Any] | None, prompt: str | None, completion: str | None
) -> list[tuple[str, str]] | None:
    """Who says what; None where instruction or output is missing."""
    if prompt is None or completion is None:
        return None
    turns = [("system", system)] if system else []
    for pair in [*(history or ()), (prompt, completion)]:
        if pair is None or len(pair) != 2 or None in pair:
            raise base.fault(table, place, f"`history` holds {pair!r}, which is no pair of an instruction and a response; mend or drop it")
        turns += zip(("user", "assistant"), pair, strict=True)
    return turns


def _messages(dialogues: list[list[tuple[str, str]] | None]) -> pa.Array:
    import pyarrow as pa

    kind = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    turns = [None if turns is None else [{"role": role, "content": content} for role, content in turns] for turns in dialogues]
    return pa.array(turns, kind)
