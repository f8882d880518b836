"""A value for every name that AutoTrain's command line and its YAML have."""

from typing import Any

from polar_tools.conversions import autotrain

PARAMETERS: dict[str, Any] = {
    "train": True,
    "deploy": False,
    "inference": False,
    "backend": "local-cli",
    "task": "llm-sft",
    "model": "org/model",
    "project_name": "my-model",
    "data_path": "org/rows",
    "train_split": "train",
    "valid_split": "validation",
    "add_eos_token": True,
    "block_size": 512,
    "model_max_length": 1024,
    "padding": "left",
    "trainer": "sft",
    "use_flash_attention_2": True,
    "log": "tensorboard",
    "disable_gradient_checkpointing": True,
    "logging_steps": 5,
    "eval_strategy": "steps",
    "save_strategy": "no",
    "save_total_limit": 2,
    "auto_find_batch_size": True,
    "mixed_precision": "bf16",
    "lr": 2e-4,
    "epochs": 2,
    "batch_size": 4,
    "warmup_ratio": 0.2,
    "gradient_accumulation": 2,
    "optimizer": "adafactor",
    "scheduler": "cosine",
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
    "seed": 7,
    "chat_template": "tokenizer",
    "quantization": "int8",
    "target_modules": "q_proj,v_proj",
    "merge_adapter": True,
    "peft": True,
    "lora_r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.1,
    "model_ref": "org/reference",
    "dpo_beta": 0.2,
    "max_prompt_length": 256,
    "max_completion_length": 300,
    "prompt_text_column": "question",
    "text_column": "answer",
    "rejected_text_column": "worse",
    "push_to_hub": True,
    "username": "somebody",
    "repo_id": "somebody/model",
    "token": "hf_canary-of-autotrain",
    "unsloth": True,
    "distributed_backend": "deepspeed",
    "max_seq_length": 256,
    "max_target_length": 64,
    "target_column": "label",
    "early_stopping_patience": 3,
    "early_stopping_threshold": 0.02,
    "sentence1_column": "one",
    "sentence2_column": "two",
    "sentence3_column": "three",
}
SAMPLES = {spelling: PARAMETERS[meant] for spelling, meant in autotrain.NAMES.items()}
SECRETS = dict.fromkeys(("token", "hub.token", "params.token"), "hf_canary-of-autotrain")
BASE: dict[str, Any] = {"train": True, "model": "org/model", "data_path": "org/rows", "project_name": "mine"}
TASKS = {
    **dict.fromkeys(("max_seq_length", "target_column", "early_stopping_patience", "early_stopping_threshold"), "text-classification"),
    "max_target_length": "seq2seq",
    **dict.fromkeys(("sentence1_column", "sentence2_column"), "st:pair"),
    "sentence3_column": "st:triplet",
}
"""Parameters that language models don't have -> a task that has them."""
PREFERENCES = {"trainer": "dpo", "text_column": "better", "rejected_text_column": "worse", "prompt_text_column": "question"}
NEEDS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("rejected_text_column", "prompt_text_column", "model_ref", "dpo_beta"), PREFERENCES),
    **{name: {"task": task} for name, task in TASKS.items()},
}


def beside(name: str) -> dict[str, Any]:
    """The arguments with which one can be tried."""
    return {**BASE, **NEEDS.get(name, {})}
