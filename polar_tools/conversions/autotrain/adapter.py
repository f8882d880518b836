"""The adapter that AutoTrain trains, and the quantized base that it stands on."""

from __future__ import annotations

from polar_tools.conversions.autotrain.given import FIELDS, Given
from polar_tools.errors import UserError

READ_WITH_PEFT = ("quantization", "target_modules", "merge_adapter", "lora_r", "lora_alpha", "lora_dropout")
MERGED = "into the base as it is, once its outputs were seen to be the adapter's; AutoTrain rounds the base to float16"


def put(given: Given) -> None:
    """The fields of the adapter; AutoTrain reads none of them without `peft`."""
    given.field("use_peft", "peft", bool(given["peft"]))
    if not given["peft"]:
        given.unread(READ_WITH_PEFT, "AutoTrain reads it with --peft only")
        return
    for name in ("lora_r", "lora_alpha", "lora_dropout"):
        given.field(name, name)
    if given["target_modules"] is None:
        given.unread(["target_modules"], "all linear layers; AutoTrain leaves it to peft")
    else:
        given.field("target_modules", "target_modules")
    _put_quantization(given)
    if given["merge_adapter"]:
        given.field("merge_adapter", "merge_adapter", True, MERGED, "safer")
    else:
        given.unread(["merge_adapter"], "the adapter is saved as it is")


def _put_quantization(given: Given) -> None:
    kind = given["quantization"]
    if kind is None:
        given.unread(["quantization"], "the base is held as it is")
        return
    if kind not in ("int4", "int8"):
        raise UserError(f"--quantization: AutoTrain knows int4, int8 and none, not `{kind}`")
    given.field("quantization", "quantization", kind, "what is saved and measured stands on the base as it is")
    if kind == "int4":
        given.draft.put(f"{FIELDS}.bnb_4bit_use_double_quant", False, "", "AutoTrain's own, with int4")
        _put_compute_dtype(given)


def _put_compute_dtype(given: Given) -> None:
    """float16, as AutoTrain has it; numbers that bfloat16 holds may be too large for it."""
    place = f"{FIELDS}.bnb_4bit_compute_dtype"
    if given["mixed_precision"] == "bf16":
        given.draft.put(place, "bfloat16", "", "as all else is; AutoTrain's float16 overflows where bfloat16 doesn't", "safer")
    else:
        given.draft.put(place, "float16", "", "AutoTrain's own, with int4")
