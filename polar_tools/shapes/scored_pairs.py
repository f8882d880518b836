"""Two texts and how alike they are; names are those of sentence-transformers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.filters.base import replaced
from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa


def _is_score(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or base.is_text(kind))


ALIASES = ("pair_score", "similarity")
BY_NAME_ONLY = False
ROLES = {
    "sentence1": ("sentence1", "sentence_1", "sentence_a", "text1", "text_1", "text_a", "문장1"),
    "sentence2": ("sentence2", "sentence_2", "sentence_b", "text2", "text_2", "text_b", "문장2"),
    "score": ("score", "similarity", "similarity_score", "점수", "유사도"),
}
OPTIONAL = ()
KINDS = {"sentence1": base.TEXT, "sentence2": base.TEXT, "score": base.Kind("a number", _is_score)}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """Scores as numbers, also where a CSV file has them as text; raises DataError for one that is none."""
    import pyarrow as pa

    scores = table["score"].combine_chunks()
    if base.is_text(scores.type):
        scores = pa.array([_number(table, place, text) for place, text in enumerate(scores.to_pylist())], pa.float64())
    return replaced(table, "score", scores.cast(pa.float64()))


def _number(table: pa.Table, place: int, text: str | None) -> float | None:
    try:
        return float(text) if text and text.strip() else None
    except ValueError:
        raise base.fault(table, place, f"`score` is `{text}`, which is no number; mend or drop the row") from None
