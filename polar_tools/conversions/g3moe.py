"""A G3MoE training: its JSON with the sections model_config, data_config and training_config, or the same as flags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polar_tools import hardware
from polar_tools.conversions.base import DATA, DATA_AT, MODEL_AT, TRAINING_AT, Draft, Dropped, Rule, To, places, trainer_arguments
from polar_tools.errors import UserError

TITLE = "G3MoE"
SECTIONS = ("model_config", "data_config", "training_config")
OWN = (
    *("model_name_or_path", "tokenizer_name_or_path", "trust_remote_code", "g3moe_params"),
    *("use_lora", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "target_modules"),
    *("dataset_name", "max_seq_length", "test_size", "text_only", "streaming", "packing"),
    *("deepspeed", "attn_implementation", "nproc_per_node", "eval", "dataset_kwargs", "dataset_config_name"),
    *("hub_model_id", "push_to_hub"),
)
ALIASES = {
    **trainer_arguments.OLD_NAMES,
    **{"deepspeed_config": "deepspeed", "num_gpus": "nproc_per_node", "num_processes": "nproc_per_node", "max_length": "max_seq_length"},
}
_FLAT = {**{name: name for name in (*OWN, *trainer_arguments.NAMES)}, **ALIASES}
NAMES = {**_FLAT, **{f"{section}.{name}": known for section in SECTIONS for name, known in _FLAT.items()}}
DEFAULTS = {
    **{"per_device_train_batch_size": 1, "gradient_accumulation_steps": 16, "learning_rate": 2e-5, "weight_decay": 0.01},
    **{"lr_scheduler_type": "cosine", "warmup_ratio": 0.03},
}
"""G3MoE's own, where nothing is said, that are others than ours."""
LORA = {"lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.1}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEST_SIZE, MAX_LENGTH = 0.1, 2048
PROJECT = "g3moe-sft"
KERNEL = "flash_attention_2"
IDLE: dict[str, Rule] = {
    "g3moe_params": Dropped(
        "no experts are put into a model here: it is trained as it is, as by G3MoE's own script where its model can't be had"
    ),
    "streaming": Dropped("rows are prepared once, a piece at a time, and read from disk; no data set has to fit into memory"),
    "eval": Dropped("every run measures the untouched and the trained model"),
    "dataset_kwargs": Dropped("rows are prepared by a stage of its own"),
    "push_to_hub": Dropped("say where to in the config's `publish`, once the report is as it should be"),
    "hub_model_id": Dropped("say where to in the config's `publish`, once the report is as it should be"),
}


def convert(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Fill the draft, for the GPUs of this machine; raises UserError where model or data are missing."""
    said = {name: value for name, value in arguments.items() if value not in (None, "")}
    draft.drop(arguments, [name for name in arguments if name not in said], "is empty, and says nothing")
    method = f"{TRAINING_AT}.method"
    draft.put("project_name", PROJECT, text="as G3MoE calls it")
    draft.put(method, "sft", text="supervised fine-tuning, which G3MoE does by trl's SFTTrainer")
    if "text_only" in said:
        text = "pictures are shown where rows have a column of them"
        draft.note("became", "text_only", (method,), f"{text}; to do without, name the others in the dataset's `columns`")
    draft.apply(said, IDLE)
    _model(said, draft)
    test_rows = _data(said, draft)
    gpus = _gpus(said, draft)
    _training(said, draft, gpus, test_rows)
    _adapter(said, draft)
    _deepspeed(said, draft, gpus)
    if test_rows:
        trainer_arguments.measure(draft)
    trainer_arguments.trackers(said, draft)


def _model(said: Mapping[str, Any], draft: Draft) -> None:
    if "model_name_or_path" not in said:
        raise UserError("model_name_or_path is missing: name a folder, or ORG/NAME on the Hub")
    name, tokenizer = str(said["model_name_or_path"]), said.get("tokenizer_name_or_path")
    draft.put(f"{MODEL_AT}.source", places.located(name), "model_name_or_path")
    draft.put(f"{TRAINING_AT}.model", "model", text="the model above")
    if tokenizer == name:
        draft.drop(said, ["tokenizer_name_or_path"], "is the model's own")
    elif tokenizer is not None:
        draft.put(f"{MODEL_AT}.tokenizer_name", places.located(str(tokenizer)), "tokenizer_name_or_path")
    place, why = f"{TRAINING_AT}.trust_remote_code", "code that comes with a model isn't run; true runs it, where the model is pinned"
    draft.put(place, False, "trust_remote_code" if "trust_remote_code" in said else "", why, "safer")


def _data(said: Mapping[str, Any], draft: Draft) -> bool:
    """Put the rows; returns whether any are held out."""
    if "dataset_name" not in said:
        raise UserError("dataset_name is missing: name a file or folder, or a data set's ORG/NAME on the Hub")
    draft.put(f"{DATA_AT}.source", places.located(str(said["dataset_name"]), "dataset"), "dataset_name")
    draft.put(f"{TRAINING_AT}.dataset", DATA, text="the rows above")
    draft.apply(said, {"dataset_config_name": To(f"{DATA_AT}.train_data_dir")})
    size = said.get("test_size", TEST_SIZE)
    if not size:
        draft.drop(said, ["test_size"], "0 holds no rows out, so that nothing can be measured")
        return False
    own = ("test_size",) if "test_size" in said else ("", "G3MoE's default")
    draft.put(f"{DATA_AT}.split.test_size", size, *own)
    return True


def _gpus(said: Mapping[str, Any], draft: Draft) -> int:
    """How many GPUs there are here, or are asked for if that is fewer."""
    there, asked = hardware.gpus(), said.get("nproc_per_node")
    taken = min(there, asked) if isinstance(asked, int) else there
    name = "nproc_per_node" if asked is not None else ""
    found = f"this machine has {there} GPU{'' if there == 1 else 's'}"
    draft.put(f"{TRAINING_AT}.gpus", taken, name, found, "safer" if name and taken != asked else None)
    return taken


def _training(said: Mapping[str, Any], draft: Draft, gpus: int, test_rows: bool) -> None:
    told = {**DEFAULTS, **said}
    if "warmup_steps" in said and "warmup_ratio" not in said:
        del told["warmup_ratio"]
    if gpus == 0:
        for name in ("bf16", "fp16"):
            told.pop(name, None)
    before = len(draft.notes)
    trainer_arguments.apply(told, draft, test_rows)
    draft.notes[before:] = [
        note if note.name in said or note.kind == "chosen" else note._replace(kind="chosen", name="", text="G3MoE's default")
        for note in draft.notes[before:]
    ]
    _precision(said, draft, gpus)
    own = ("max_seq_length",) if "max_seq_length" in said else ("", "G3MoE's default")
    draft.put(f"{TRAINING_AT}.max_length", said.get("max_seq_length", MAX_LENGTH), *own)
    draft.put(f"{TRAINING_AT}.on_too_long", "cut_right", text="as trl has it; `fail` would name the rows that are too long")
    draft.apply(said, {"packing": To(f"{TRAINING_AT}.packing")})


def _precision(said: Mapping[str, Any], draft: Draft, gpus: int) -> None:
    """G3MoE loads weights as bfloat16, with flash attention where there is any; on a CPU both are safer otherwise."""
    dtype, attention = f"{TRAINING_AT}.dtype", f"{TRAINING_AT}.attn_implementation"
    if gpus == 0:
        why = "there is no GPU here, and CPUs compute in float32 what they should"
        draft.put(dtype, "float32", text=why, kind="safer")
        for name in ("bf16", "fp16"):
            if name in said:
                draft.note("safer", name, (dtype,), why)
        kernel = "eager" if said.get("attn_implementation") == "eager" else "sdpa"
        draft.put(attention, kernel, "attn_implementation" if "attn_implementation" in said else "", "there is no GPU here", "safer")
        return
    draft.put(dtype, "float16" if said.get("fp16") else "bfloat16", text="as G3MoE loads weights")
    kernel = str(said.get("attn_implementation", KERNEL))
    draft.put(attention, kernel, "attn_implementation" if "attn_implementation" in said else "")
    if kernel != "eager":
        draft.put(f"{TRAINING_AT}.attn_fallback", True, text="where it can't be had, sdpa or eager is taken, and said")


def _adapter(said: Mapping[str, Any], draft: Draft) -> None:
    wanted = said.get("use_lora", True)
    given = (*LORA, "lora_target_modules", "target_modules")
    draft.put(f"{TRAINING_AT}.use_peft", bool(wanted), *(("use_lora",) if "use_lora" in said else ("", "G3MoE's default")))
    if not wanted:
        draft.drop(said, given, "read only with use_lora")
        return
    for name, value in LORA.items():
        draft.put(f"{TRAINING_AT}.{name}", said.get(name, value), *((name,) if name in said else ("", "G3MoE's default")))
    name = next((name for name in ("lora_target_modules", "target_modules") if name in said), "")
    draft.put(f"{TRAINING_AT}.target_modules", said.get(name, TARGETS), name, "" if name else "G3MoE's default")


def _deepspeed(said: Mapping[str, Any], draft: Draft, gpus: int) -> None:
    """A file that is here, or the preset that its name tells."""
    if "deepspeed" not in said:
        return
    given, place = str(said["deepspeed"]), f"{TRAINING_AT}.deepspeed"
    if gpus == 0:
        draft.drop(said, ["deepspeed"], "there is no GPU here: one process trains on the CPU, with nothing to divide")
        return
    if Path(given).is_file():
        draft.put(place, given, "deepspeed")
        return
    stage = re.search(r"zero[_-]?([123])", Path(given).name, re.IGNORECASE)
    if stage is None:
        raise UserError(f"deepspeed: there is no file {given} here; give its path, or zero1, zero2, zero3, zero2-offload or zero3-offload")
    offload = "-offload" if "offload" in given.lower() and stage[1] != "1" else ""
    draft.put(place, f"zero{stage[1]}{offload}", "deepspeed", f"there is no file {given} here; by its name")
