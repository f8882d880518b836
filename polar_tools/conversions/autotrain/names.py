"""AutoTrain's names, in every spelling, and its defaults: those of its last release, 0.8.36, and names that earlier ones had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NOTHING = ("none", "None", "null", "")
"""Words that stand for no value where a value may lack."""

SHARED: dict[str, Any] = {
    "data_path": None,
    "train_split": "train",
    "valid_split": None,
    "text_column": "text",
    "log": "none",
    "logging_steps": -1,
    "eval_strategy": "epoch",
    "save_total_limit": 1,
    "auto_find_batch_size": False,
    "mixed_precision": None,
    "epochs": 3,
    "batch_size": 8,
    "warmup_ratio": 0.1,
    "gradient_accumulation": 1,
    "optimizer": "adamw_torch",
    "scheduler": "linear",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "seed": 42,
    "push_to_hub": False,
    "username": None,
    "token": None,
    "project_name": "project-name",
}
"""What all tasks have, with the defaults that most of them have."""
ADAPTER: dict[str, Any] = {
    "quantization": "int4",
    "target_modules": "all-linear",
    "peft": False,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
}
LLM: dict[str, Any] = {
    **SHARED,
    **ADAPTER,
    "model": "gpt2",
    "data_path": "data",
    "add_eos_token": True,
    "block_size": -1,
    "model_max_length": 2048,
    "padding": "right",
    "trainer": "default",
    "use_flash_attention_2": False,
    "disable_gradient_checkpointing": False,
    "lr": 3e-5,
    "epochs": 1,
    "batch_size": 2,
    "gradient_accumulation": 4,
    "chat_template": None,
    "merge_adapter": False,
    "model_ref": None,
    "dpo_beta": 0.1,
    "max_prompt_length": 128,
    "max_completion_length": None,
    "prompt_text_column": None,
    "rejected_text_column": None,
    "unsloth": False,
    "distributed_backend": None,
}
"""The parameters of a language model's training. The command line's own default of `block_size` is 1024, which is what -1 means too."""
_STOPPING = {"early_stopping_patience": 5, "early_stopping_threshold": 0.01}
_TEXT: dict[str, Any] = {**SHARED, **_STOPPING, "model": "bert-base-uncased", "lr": 5e-5, "max_seq_length": 128, "target_column": "target"}
TASKS: dict[str, dict[str, Any]] = {
    "text_multi_class_classification": _TEXT,
    "text_single_column_regression": _TEXT,
    "seq2seq": {
        **_TEXT,
        **ADAPTER,
        "model": "google/flan-t5-base",
        "batch_size": 2,
        "max_target_length": 128,
        "quantization": "int8",
    },
    "sentence_transformers": {
        **{name: value for name, value in _TEXT.items() if name != "text_column"},
        "model": "microsoft/mpnet-base",
        "lr": 3e-5,
        "trainer": "pair_score",
        "target_column": None,
        "sentence1_column": "sentence1",
        "sentence2_column": "sentence2",
        "sentence3_column": None,
    },
}
"""The parameters of the other tasks that there is a method for here."""

COMMAND = ("train", "deploy", "inference", "backend")
"""Options of the command line that are no parameters."""
EARLIER = {
    "train_batch_size": "batch_size",
    "use_peft": "peft",
    "use_fa2": "use_flash_attention_2",
    "disable_gc": "disable_gradient_checkpointing",
    "evaluation_strategy": "eval_strategy",
    "learning_rate": "lr",
    "num_train_epochs": "epochs",
    "gradient_accumulation_steps": "gradient_accumulation",
    "mp": "mixed_precision",
    "max_len": "model_max_length",
    "max_length": "model_max_length",
    "save_strategy": "save_strategy",
    "repo_id": "repo_id",
}
"""Spellings of releases before 0.8, which people still have in their scripts."""
FILE = {
    "task": "task",
    "base_model": "model",
    "data.path": "data_path",
    "data.train_split": "train_split",
    "data.valid_split": "valid_split",
    "data.chat_template": "chat_template",
    "hub.username": "username",
    "hub.token": "token",
    "hub.push_to_hub": "push_to_hub",
}
"""What its YAML calls otherwise, as paths. Parameters stand below `params`, columns below `data.column_mapping`."""


def spellings() -> dict[str, str]:
    """Every spelling -> the parameter that it stands for."""
    parameters = list(dict.fromkeys([*LLM, *(name for told in TASKS.values() for name in told)]))
    on_command_line = {name: name for name in (*LLM, *COMMAND)} | EARLIER
    return {
        **{name.replace("_", "-"): meant for name, meant in on_command_line.items()},
        **on_command_line,
        **FILE,
        **{f"params.{name}": name for name in parameters},
        **{f"data.column_mapping.{name}": name for name in parameters if name.endswith("_column")},
    }


def written_out(words: Sequence[str]) -> list[str]:
    """A command line in which options that are cut short are whole, as argparse takes them where only one begins so."""
    known, written = spellings(), []
    for word in words:
        given, equals, value = word.removeprefix("--").partition("=")
        meant = {name for name in (*LLM, *COMMAND) if name.startswith(given.replace("-", "_"))}
        short = word.startswith("--") and given not in known and len(meant) == 1
        written.append(f"{dashed(*meant)}{equals}{value}" if short else word)
    return written


def nothing(value: Any) -> Any:
    """`value`, or None for a word that stands for none."""
    return None if isinstance(value, str) and value in NOTHING else value


def dashed(name: str) -> str:
    """A parameter as people write it on the command line."""
    return f"--{name.replace('_', '-')}"


def among(parameters: Mapping[str, Any], name: str) -> bool:
    """Whether a task has a parameter, or the command line an option, of that name."""
    return name in parameters or name in COMMAND or name in ("task", "save_strategy", "repo_id")
