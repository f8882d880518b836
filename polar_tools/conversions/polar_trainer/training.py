"""How is trained: precision, attention, adapters, DeepSpeed, and what transformers' TrainingArguments say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools import hardware
from polar_tools.conversions.base import TRAINING_AT, Draft, Dropped, To, trainer_arguments
from polar_tools.errors import UserError
from polar_tools.experiment.distributing import SIZES

PEFT = ("peft_type", "lora_target_modules", "lora_r", "lora_alpha", "lora_dropout", "lora_modules_to_save")
PEFT_TYPES = {"llama-adapter": "adaption_prompt"}
"""Adapters by another name than peft's."""
RANKLESS = ("ia3", "ln_tuning", "adaption_prompt")
"""Types without a rank, an alpha and a dropout."""
LORA = {"lora_target_modules": ["q_proj", "k_proj"], "lora_dropout": 0.05}
"""POLAR Trainer's defaults that are others than ours."""
PRESETS = {"zero-1": "zero1", "zero-2": "zero2", "zero-2-non-offload": "zero2", "zero-3": "zero3"}
DS_SIZES = {
    "ds_stage2_bucket_size": ("reduce_bucket_size", "allgather_bucket_size"),
    "ds_stage2_reduce_bucket_size": ("reduce_bucket_size",),
    "ds_stage2_allgather_bucket_size": ("allgather_bucket_size",),
    "ds_stage3_reduce_bucket_size": ("reduce_bucket_size",),
    "ds_stage3_prefetch_bucket_size": ("stage3_prefetch_bucket_size",),
    "ds_stage3_param_persistence_threshold": ("stage3_param_persistence_threshold",),
    "ds_stage3_sub_group_size": ("sub_group_size",),
}
"""Sizes -> our fields; the stage that reads them stands in the name."""
DS_IDLE = ("ds_stage3_max_live_parameters", "ds_stage3_max_reuse_distance")
NAMES = (
    *("number_gpu", "flash_attn", "tokenizer_max_len", "is_resume", "use_stableadamw"),
    *("use_peft", *PEFT, "use_deepspeed", "ds_preset", "ds_jsonpath", *DS_SIZES, *DS_IDLE),
)
MAX_LENGTH = 2048
"""POLAR Trainer's default of tokenizer_max_len."""
assert {field for fields in DS_SIZES.values() for field in fields} == set(SIZES)


def apply(said: Mapping[str, Any], draft: Draft, method: str, test_rows: bool) -> None:
    """Put all of it."""
    arguments = dict(said)
    if said.get("use_stableadamw"):
        draft.drop(said, ["optim"], "use_stableadamw takes its place")
        arguments["optim"] = "stable_adamw"
        draft.note("became", "use_stableadamw", (f"{TRAINING_AT}.optim",))
    else:
        draft.drop(said, ["use_stableadamw"], "`optim` says which optimizer it is")
    trainer_arguments.apply(arguments, draft, test_rows)
    trainer_arguments.trackers({name: said[name] for name in ("report_to", "run_name") if name in said}, draft)
    _length(said, draft, method)
    _machine(said, draft)
    _adapter(said, draft)
    _deepspeed(said, draft)
    _resume(said, draft)


def _length(said: Mapping[str, Any], draft: Draft, method: str) -> None:
    """POLAR Trainer cuts texts at the length that it gives the tokenizer."""
    longest = said.get("tokenizer_max_len", MAX_LENGTH)
    if not longest:
        draft.drop(said, ["tokenizer_max_len"], "0 leaves rows as long as they are")
        return
    name, text = ("tokenizer_max_len", "rows are cut there") if "tokenizer_max_len" in said else ("", "POLAR Trainer's default")
    draft.put(f"{TRAINING_AT}.max_length", longest, name, text)
    if method in ("ppo", "grpo"):  # only prompts are given to the model, and what makes it answer stands at their end
        draft.put(f"{TRAINING_AT}.on_too_long", "cut_left", text="of a prompt the end counts; `fail` would name those that are too long")
    else:
        draft.put(f"{TRAINING_AT}.on_too_long", "cut_right", text="as POLAR Trainer has it; `fail` would name the rows that are too long")
    if method not in ("sentence_transformer", "cross_encoder"):  # they save the length at which they cut
        draft.put(f"{TRAINING_AT}.tokenizer_max_len", longest, name, "what the saved tokenizer says of itself")
    if method == "dpo":
        draft.put(f"{TRAINING_AT}.max_prompt_length", max(1, longest // 2), text="half of it, as in POLAR Trainer")


def _machine(said: Mapping[str, Any], draft: Draft) -> None:
    if "number_gpu" in said:
        draft.put(f"{TRAINING_AT}.gpus", said["number_gpu"], "number_gpu")
    else:
        draft.put(f"{TRAINING_AT}.gpus", hardware.gpus(), text="those of this machine; number_gpu says how many")
    if said.get("bf16"):
        draft.put(f"{TRAINING_AT}.dtype", "bfloat16", text="`bf16`: POLAR Trainer loads the weights in it too")
    if "flash_attn" not in said:
        return
    kernel = "flash_attention_2" if said["flash_attn"] else "sdpa"
    draft.put(f"{TRAINING_AT}.attn_implementation", kernel, "flash_attn")
    if said["flash_attn"]:
        draft.put(f"{TRAINING_AT}.attn_fallback", True, text="where it can't be had, sdpa or eager is taken, and said")


def _adapter(said: Mapping[str, Any], draft: Draft) -> None:
    kind = PEFT_TYPES.get(str(said.get("peft_type", "lora")).lower(), str(said.get("peft_type", "lora")).lower())
    draft.apply(said, {"use_peft": To(f"{TRAINING_AT}.use_peft", lambda asked: bool(asked) and kind != "none")})
    if not said.get("use_peft") or kind == "none":
        draft.drop(said, PEFT, "read only with use_peft")
        return
    if "peft_type" in said:
        draft.put(f"{TRAINING_AT}.peft_type", kind, "peft_type")
    if kind in RANKLESS:
        draft.drop(said, [name for name in PEFT if name != "peft_type"], f"{kind} has no such setting, and knows which layers it changes")
        return
    rules = {name: To(f"{TRAINING_AT}.{name}") for name in ("lora_r", "lora_alpha", "lora_dropout")}
    listed = {"lora_target_modules": "target_modules", "lora_modules_to_save": "modules_to_save"}
    draft.apply(said, rules | {name: To(f"{TRAINING_AT}.{field}", names) for name, field in listed.items()})
    for name, value in LORA.items():
        if name not in said and kind == "lora":
            draft.put(f"{TRAINING_AT}.{listed.get(name, name)}", value, text="POLAR Trainer's default")


def names(text: Any) -> list[str]:
    """Names with commas between them, blanks and line ends taken away; a list as it is."""
    parts = text if isinstance(text, list | tuple) else str(text).split(",")
    return [name for part in parts if (name := "".join(str(part).split()))]


def _deepspeed(said: Mapping[str, Any], draft: Draft) -> None:
    place = f"{TRAINING_AT}.deepspeed"
    if not said.get("use_deepspeed"):
        draft.drop(said, ("use_deepspeed", "ds_preset", "ds_jsonpath", *DS_SIZES, *DS_IDLE), "there is no DeepSpeed (use_deepspeed)")
        return
    draft.note("became", "use_deepspeed", (place,))
    draft.apply(said, dict.fromkeys(DS_IDLE, Dropped("DeepSpeed's own is taken; a file of yours may say it (ds_jsonpath)")))
    if "ds_jsonpath" in said:
        draft.put(place, said["ds_jsonpath"], "ds_jsonpath")
        draft.drop(said, ("ds_preset", *DS_SIZES), "the file of ds_jsonpath says it")
        return
    preset = str(said.get("ds_preset", "zero-2"))
    if preset not in PRESETS:
        raise UserError(f"ds_preset: there is no `{preset}`; there are zero-1, zero-2 and zero-3, or a file of your own (ds_jsonpath)")
    why = "" if preset == "zero-1" else "`offload_optimizer: true` keeps the optimizer's state in host memory, as POLAR Trainer may"
    draft.put(place, PRESETS[preset], "ds_preset" if "ds_preset" in said else "", why)
    _sizes(said, draft, preset)


def _sizes(said: Mapping[str, Any], draft: Draft, preset: str) -> None:
    for name, fields in DS_SIZES.items():
        stage = name[len("ds_stage")]
        if name in said and stage != PRESETS[preset][-1]:
            draft.drop(said, [name], f"read by zero-{stage} only")
        elif name in said:
            for field in fields:
                draft.put(f"{TRAINING_AT}.{field}", int(said[name]), name)


def _resume(said: Mapping[str, Any], draft: Draft) -> None:
    place = f"{TRAINING_AT}.is_resume"
    if said.get("is_resume"):
        draft.put(place, True, "is_resume")
    elif "is_resume" in said:
        draft.put(
            place, True, "is_resume", "what was interrupted goes on, and what is finished is kept; exactly the same comes of it", "safer"
        )
