"""Answers that are each marked as desirable or not (Ethayarajh et al. 2024)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.filters.base import replaced
from polar_tools.shapes import base, prompt_completion

if TYPE_CHECKING:
    import pyarrow as pa


def _is_yes_or_no(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_boolean(kind) or pa.types.is_integer(kind) or base.is_text(kind))


ALIASES = ("unpaired_preference",)
BY_NAME_ONLY = False
ROLES = {**prompt_completion.ROLES, "label": ("label", "desirable", "is_desirable", "thumbs_up", "라벨", "레이블")}
OPTIONAL = ()
KINDS = {**prompt_completion.KINDS, "label": base.Kind("true or false", _is_yes_or_no)}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)

LABELS = {"true": True, "1": True, "false": False, "0": False}


def convert(table: pa.Table) -> pa.Table:
    """Messages checked, and labels that are true or false whatever they are written with; raises DataError for others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    written = pc.utf8_lower(pc.utf8_trim_whitespace(table["label"].combine_chunks().cast(pa.string())))
    written = pc.if_else(pc.equal(written, ""), None, written)
    known = pc.index_in(written, pa.array(list(LABELS), pa.string()))
    bad = pc.index(pc.and_(pc.is_null(known), pc.is_valid(written)), True).as_py()
    if bad >= 0:
        says = (
            f"`label` is `{table['label'][bad]}`; write true or false, or name another shape than kto, such as `shape: prompt_completion`"
        )
        raise base.fault(table, bad, says)
    labels = pa.array(list(LABELS.values()), pa.bool_()).take(known)
    return replaced(prompt_completion.convert(table), "label", labels)
