"""Texts with a label, or with several."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa


def _is_label(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(base.is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _is_label_or_labels(kind: pa.DataType) -> bool:
    return _is_label(kind) or (base.is_list(kind) and _is_label(kind.value_type))


ALIASES = ("text_classification", "multi_label")
BY_NAME_ONLY = False
ROLES = {
    "text": ("text", "sentence", "document", "content", "review", "comment", "텍스트", "문장", "본문", "내용", "리뷰", "댓글"),
    "label": ("label", "labels", "class", "sentiment", "intent", "라벨", "레이블", "분류", "감정"),
}
OPTIONAL = ()
KINDS = {"text": base.TEXT, "label": base.Kind("a word, a whole number, or a list of such", _is_label_or_labels)}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)


def convert(table: pa.Table) -> pa.Table:
    """`text` and `label`; `labels` where a row has a list of them."""
    made = "labels" if base.is_list(table.schema.field("label").type) else "label"
    return base.remade(table, ROLES, {"text": table["text"], made: table["label"]})
