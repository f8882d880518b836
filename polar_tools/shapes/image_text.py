"""Images with a text that goes with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from polar_tools.shapes import base

if TYPE_CHECKING:
    import pyarrow as pa


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):  # as `datasets` stores an image
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(base.is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


ALIASES = ("captions", "image_caption")
BY_NAME_ONLY = False
ROLES = {
    "image": ("image", "img", "picture", "photo", "file_name", "image_path", "이미지", "사진"),
    "text": ("text", "caption", "description", "텍스트", "설명", "캡션"),
}
OPTIONAL = ()
KINDS = {"image": base.Kind("an image, or a path to one", _is_image), "text": base.TEXT}
fits = partial(base.fits, ROLES, OPTIONAL, KINDS)
convert = base.unchanged
