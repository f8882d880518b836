"""A value for each name that a ModelTrainer's YAML files have, and the field that it reaches."""

from typing import Any

from polar_tools.conversions import model_trainer
from tests.conversions import polar_trainer
from tests.reached import Case, same

BASE: dict[str, Any] = {"general.model_name": "org/bart", "general.data_path": "data"}
T, D, G = "experiments.training", "datasets.data", "evaluations.held_out.generation"
WANDB = {"wandb.enabled": True}
SAMPLED = {"inference.do_sample": True, "inference.num_beams": 1}

CASES: dict[str, Case] = {
    **{name: Case(case.value, case.reaches) for name, case in polar_trainer.CASES.items() if name in model_trainer.SHARED},
    "project_name": Case("first", {"project_name": "first"}),
    "tags": Case(["one", "two"], {"run.trackers.0.tags": ["one", "two"]}, WANDB),
    "description": Case("a try", {"run.notes": "a try"}),
    "seed": Case(7, {f"{T}.seeds": [7]}),
    "model": Case("org/other", {"models.model.source": "hf://org/other"}),
    "model.name": Case("kobart"),
    "model.type": Case("encoder_decoder"),
    "model.architecture": Case("bart"),
    "data_path": Case("other/rows", {f"{D}.source": "file://other/rows"}),
    "train_file": Case("first.csv", {f"{D}.train_data": "first.csv"}),
    "dev_file": Case("second.csv", {f"{D}.test_data": "second.csv"}),
    "test_file": Case("third.csv"),
    "dialogue_column": Case("talk", {f"{D}.columns.document": "talk"}),
    "summary_column": Case("gist", {f"{D}.columns.summary": "gist"}),
    "prefix": Case("summarize: ", {f"{T}.source_prefix": "summarize: "}),
    "encoder_max_len": Case(300, {f"{T}.max_length": 300}),
    "decoder_max_len": Case(50, {f"{T}.max_target_length": 50}),
    "special_tokens": Case(["#Person1#"], {"models.model.added_tokens": ["#Person1#"]}),
    "bos_token": Case("<s>"),
    "eos_token": Case("</s>"),
    **same(num_train_epochs=5, per_device_train_batch_size=4, per_device_eval_batch_size=2, dataloader_num_workers=1),
    **same(label_smoothing_factor=0.1, gpus=1, predict_with_generate=True, generation_max_length=40, generation_num_beams=3),
    "fp16": Case(True, {f"{T}.fp16": True}, {"training.gpus": 1}),
    "optim_args": Case("rank=8", {f"{T}.optim_args": "rank=8"}, {"training.optim": "galore_adamw"}),
    "save_strategy": Case("epoch", {f"{T}.save_strategy": "epoch"}),
    "save_steps": Case(
        50, {f"{T}.save_steps": 50}, {"training.save_strategy": "steps", "training.eval_strategy": "steps", "training.eval_steps": 50}
    ),
    "eval_strategy": Case("no", {}),
    "eval_steps": Case(
        50, {f"{T}.eval_steps": 50}, {"training.save_strategy": "steps", "training.eval_strategy": "steps", "training.save_steps": 50}
    ),
    "do_eval": Case(True, {f"{T}.do_eval": True}),
    "gradient_checkpointing_kwargs": Case(
        {"use_reentrant": False}, {f"{T}.activation_checkpointing_kwargs.use_reentrant": False}, {"training.gradient_checkpointing": True}
    ),
    "metric_for_best_model": Case("eval_rouge_sum", {f"{T}.metric_for_best_model": "rouge12L_sum"}),
    "greater_is_better": Case(True, {f"{T}.greater_is_better": True}),
    "early_stopping_threshold": Case(0.1, {f"{T}.early_stopping_threshold": 0.1}, {"training.early_stopping_patience": 2}),
    "report_to": Case("wandb"),
    "run_name": Case("first"),
    "use_wandb": Case(True, {"run.trackers.0.tracker": "wandb"}),
    "wandb_project": Case("talks", {"run.trackers.0.project": "talks"}),
    "wandb_entity": Case("team", {"run.trackers.0.entity": "team"}, WANDB),
    "wandb_name": Case("first", {"run.trackers.0.name": "first"}, WANDB),
    "wandb_mode": Case("offline", {"run.trackers.0.mode": "offline"}, WANDB),
    "wandb_api_key": Case("nobodysApiKey", {"$WANDB_API_KEY": "nobodysApiKey"}),
    "output_dir": Case("outputs"),
    "logging_dir": Case("logs"),
    "evaluation.metric": Case("rouge"),
    "evaluation.strategy": Case("epoch"),
    "defaults": Case(["_self_"]),
    "strategies": Case({"ensemble": False}),
    "max_new_tokens": Case(30, {f"{G}.max_new_tokens": 30}),
    "min_new_tokens": Case(5, {f"{G}.min_new_tokens": 5}),
    "num_beams": Case(6, {f"{G}.num_beams": 6}),
    "early_stopping": Case(True, {f"{G}.early_stopping": True}),
    "no_repeat_ngram_size": Case(3, {f"{G}.no_repeat_ngram_size": 3}),
    "length_penalty": Case(1.2, {f"{G}.length_penalty": 1.2}),
    "repetition_penalty": Case(1.4, {f"{G}.repetition_penalty": 1.4}),
    "do_sample": Case(True, {f"{G}.do_sample": True}),
    "temperature": Case(0.7, {f"{G}.temperature": 0.7}, SAMPLED),
    "top_p": Case(0.9, {f"{G}.top_p": 0.9}, SAMPLED),
    "top_k": Case(50, {f"{G}.top_k": 50}, SAMPLED),
    **{f"inference.{name}": Case("x") for name in model_trainer.WRITING_IDLE},
}
NAMES = model_trainer.NAMES
SECRETS = {"wandb.api_key": "canaryOfTheApiKey01"}


def beside(name: str) -> dict[str, Any]:
    """The arguments with which one can be tried."""
    return {**BASE, **CASES[name].beside}


SAMPLES = {spelling: CASES[name].value for spelling, name in NAMES.items()}
