"""A value for each name that a G3MoE training has, and the field that it reaches on a machine without GPUs."""

from typing import Any

from polar_tools.conversions import g3moe
from tests.conversions import polar_trainer
from tests.reached import Case, same

BASE: dict[str, Any] = {"model_name_or_path": "org/model", "dataset_name": "org/rows"}
T, D = "experiments.training", "datasets.data"
SHARED = {name: case for name, case in polar_trainer.CASES.items() if name in g3moe.trainer_arguments.NAMES}

CASES: dict[str, Case] = {
    **SHARED,
    "model_name_or_path": Case("other/model", {"models.model.source": "hf://other/model"}),
    "tokenizer_name_or_path": Case("org/tokenizer", {"models.model.tokenizer_name": "hf://org/tokenizer"}),
    "trust_remote_code": Case(True, {f"{T}.trust_remote_code": False}),
    "g3moe_params": Case({"n_routed_experts": 5}),
    "use_lora": Case(True, {f"{T}.use_peft": True}),
    **same(lora_r=4, lora_alpha=8, lora_dropout=0.2),
    "lora_target_modules": Case(["q_proj"], {f"{T}.target_modules": ["q_proj"]}),
    "target_modules": Case(["v_proj"], {f"{T}.target_modules": ["v_proj"]}),
    "dataset_name": Case("org/others", {f"{D}.source": "hf://datasets/org/others"}),
    "dataset_config_name": Case("ko", {f"{D}.train_data_dir": "ko"}),
    "max_seq_length": Case(1024, {f"{T}.max_length": 1024}),
    "test_size": Case(0.2, {f"{D}.split.test_size": 0.2}),
    "text_only": Case(True, {f"{T}.method": "sft"}),
    "streaming": Case(False),
    "packing": Case(True, {f"{T}.packing": True}),
    "deepspeed": Case("sft/config/deepspeed_zero2.json"),
    "attn_implementation": Case("flash_attention_2", {f"{T}.attn_implementation": "sdpa"}),
    "nproc_per_node": Case(0, {f"{T}.gpus": 0}),
    "eval": Case(True),
    "dataset_kwargs": Case({"skip_prepare_dataset": True}),
    "push_to_hub": Case(False),
    "hub_model_id": Case("team/model"),
    "bf16": Case(True, {f"{T}.dtype": "float32"}),
    "fp16": Case(False, {f"{T}.dtype": "float32"}),
}
NAMES = g3moe.NAMES
SECRETS: dict[str, str] = {}


def beside(name: str) -> dict[str, Any]:
    """The arguments with which one can be tried."""
    return {**BASE, **CASES[name].beside}


SAMPLES = {spelling: CASES[name].value for spelling, name in NAMES.items()}
