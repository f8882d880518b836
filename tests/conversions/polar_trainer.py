"""A value for each of POLAR Trainer's arguments, and the field that it reaches."""

from typing import Any

from polar_tools.conversions import polar_trainer
from tests.reached import Case, same

LISTED = """
project_name hugging_face_user_id hugging_face_token mlflow_url minio_url minio_access_key minio_secret_key number_gpu training_method
model_load_method dataset_load_method use_sfttrainer use_dpotrainer use_ppotrainer use_grpotrainer use_deepspeed ds_preset ds_jsonpath
ds_stage2_bucket_size ds_stage3_sub_group_size model_name_or_path model_subfolder config_name tokenizer_name train_data train_data_dir
train_data_split test_data test_data_dir test_data_split dataset_main_column dataset_sub_column dataset_minor_column push_to_hub
push_to_minio minio_model_load_bucket minio_model_save_bucket minio_data_load_bucket mlm_probability num_labels st_pooling_mode
st_dense_feature st_loss_func st_evaluation st_guide_model st_cache_minibatch st_triplet_margin flash_attn is_resume model_commit_msg
train_test_split_ratio data_filtering tokenizer_max_len output_dir overwrite_output_dir use_stableadamw optim adam_beta1 adam_beta2
adam_epsilon save_strategy save_steps save_total_limit eval_strategy eval_steps hub_model_id hub_strategy logging_steps max_grad_norm
per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps learning_rate warmup_ratio weight_decay
gradient_checkpointing num_train_epochs do_train do_eval bf16 use_peft peft_type lora_target_modules lora_r lora_alpha lora_dropout
lora_modules_to_save dpo_beta dpo_label_smoothing
"""
ISSUE = LISTED.split()
"""All names that people have in their scripts, as the issue that asked for this lists them."""
BASE: dict[str, Any] = {"training_method": "cls", "model_name_or_path": "org/model", "train_data": "org/rows"}
T, D, P = "experiments.training", "datasets.data", "publish.training"
METHOD = f"{T}.method"
CLM = {"training_method": "clm"}
WATCHED = {"eval_strategy": "steps"}
BEST = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
PEFT = {"use_peft": True}
HUB, BUCKET = {"push_to_hub": True}, {"push_to_minio": True, "project_name": "shop"}
DPO = {**CLM, "use_dpotrainer": True}
ST = {"training_method": "sentence-transformer"}
GUIDED = {**ST, "st_loss_func": "CachedGISTEmbedLoss", "st_guide_model": "org/guide"}
REFERENCE = {**CLM, "dataset_main_column": "question", "dataset_sub_column": "answer", "per_device_train_batch_size": 8}
ZERO = {"use_deepspeed": True, "number_gpu": 2}
ZERO2, ZERO3 = {**ZERO, "ds_preset": "zero-2"}, {**ZERO, "ds_preset": "zero-3"}
FILTERS = ["missing", "normalize", "duplicates"]

CASES: dict[str, Case] = {
    "project_name": Case("shop", {"project_name": "shop"}),
    "mlflow_url": Case("https://mlflow.example.com", {"run.trackers.0.tracking_uri": "https://mlflow.example.com"}),
    "hugging_face_user_id": Case("team", {f"{P}.hub_model_id": "team/shop"}, {**HUB, "project_name": "shop"}),
    "hugging_face_token": Case("hf_nobodysToken0001", {"$HF_TOKEN": "hf_nobodysToken0001"}),
    "minio_url": Case("http://minio.example.com:9000", {"$AWS_ENDPOINT_URL": "http://minio.example.com:9000"}),
    "minio_access_key": Case("nobodysAccessKey", {"$AWS_ACCESS_KEY_ID": "nobodysAccessKey"}),
    "minio_secret_key": Case("nobodysSecretKey", {"$AWS_SECRET_ACCESS_KEY": "nobodysSecretKey"}),
    "number_gpu": Case(2, {f"{T}.gpus": 2}),
    "training_method": Case("mlm", {METHOD: "masked_lm"}),
    "model_load_method": Case("minio", {"models.model.source": "s3://models/org/model"}),
    "dataset_load_method": Case("minio", {f"{D}.source": "s3://data/org/rows"}),
    "use_sfttrainer": Case(True, {METHOD: "sft"}, CLM),
    "use_dpotrainer": Case(True, {METHOD: "dpo"}, CLM),
    "use_ppotrainer": Case(True, {METHOD: "ppo"}, REFERENCE),
    "use_grpotrainer": Case(True, {METHOD: "grpo"}, REFERENCE),
    "use_deepspeed": Case(True, {f"{T}.deepspeed": "zero2"}, {"number_gpu": 2}),
    "ds_preset": Case("zero-3", {f"{T}.deepspeed": "zero3"}, ZERO),
    "ds_jsonpath": Case("config/zero.json", {f"{T}.deepspeed": "config/zero.json"}, ZERO),
    "ds_stage2_bucket_size": Case(5e8, {f"{T}.reduce_bucket_size": 500_000_000, f"{T}.allgather_bucket_size": 500_000_000}, ZERO2),
    "ds_stage2_reduce_bucket_size": Case(2e8, {f"{T}.reduce_bucket_size": 200_000_000}, ZERO2),
    "ds_stage2_allgather_bucket_size": Case(3e8, {f"{T}.allgather_bucket_size": 300_000_000}, ZERO2),
    "ds_stage3_reduce_bucket_size": Case(1e8, {f"{T}.reduce_bucket_size": 100_000_000}, ZERO3),
    "ds_stage3_prefetch_bucket_size": Case(5e7, {f"{T}.stage3_prefetch_bucket_size": 50_000_000}, ZERO3),
    "ds_stage3_param_persistence_threshold": Case(1e5, {f"{T}.stage3_param_persistence_threshold": 100_000}, ZERO3),
    "ds_stage3_sub_group_size": Case(1e7, {f"{T}.sub_group_size": 10_000_000}, ZERO3),
    "ds_stage3_max_live_parameters": Case(1e7, {}, ZERO3),
    "ds_stage3_max_reuse_distance": Case(1e7, {}, ZERO3),
    "model_name_or_path": Case("other/model", {"models.model.source": "hf://other/model"}),
    "model_subfolder": Case("inner", {"models.model.model_subfolder": "inner"}),
    "config_name": Case("org/config", {"models.model.config_name": "hf://org/config"}),
    "tokenizer_name": Case("org/tokenizer", {"models.model.tokenizer_name": "hf://org/tokenizer"}),
    "train_data": Case("org/others", {f"{D}.source": "hf://datasets/org/others"}),
    "train_data_dir": Case("part", {f"{D}.train_data_dir": "part"}),
    "train_data_split": Case("train", {f"{D}.train_data_split": "train"}),
    "test_data": Case("org/held-out", {f"{D}.test_source": "hf://datasets/org/held-out"}),
    "test_data_dir": Case("held", {f"{D}.test_data_dir": "held"}, {"test_data": "org/rows"}),
    "test_data_split": Case("validation", {f"{D}.test_data_split": "validation"}, {"test_data": "org/rows"}),
    "dataset_main_column": Case("review", {f"{D}.dataset_main_column": "review"}),
    "dataset_sub_column": Case("mood", {f"{D}.dataset_sub_column": "mood"}, {"dataset_main_column": "review"}),
    "dataset_minor_column": Case(
        "worse", {f"{D}.dataset_minor_column": "worse"}, {**DPO, "dataset_main_column": "question", "dataset_sub_column": "better"}
    ),
    "push_to_hub": Case(True, {f"{P}.push_to_hub": True}),
    "push_to_minio": Case(True, {f"{P}.push_to_minio": True}),
    "minio_model_load_bucket": Case("weights", {"models.model.source": "s3://weights/org/model"}, {"model_load_method": "minio"}),
    "minio_model_save_bucket": Case("results", {f"{P}.minio_model_save_bucket": "results/shop"}, BUCKET),
    "minio_data_load_bucket": Case("corpora", {f"{D}.source": "s3://corpora/org/rows"}, {"dataset_load_method": "minio"}),
    "mlm_probability": Case(0.2, {f"{T}.mlm_probability": 0.2}, {"training_method": "mlm"}),
    "num_labels": Case(17, {f"{T}.num_labels": 17}),
    "st_pooling_mode": Case("cls", {f"{T}.pooling_mode": "cls"}, ST),
    "st_dense_feature": Case(256, {f"{T}.dense_out_features": 256}, ST),
    "st_loss_func": Case("MultipleNegativesRankingLoss", {f"{T}.loss.name": "multiple_negatives_ranking"}, ST),
    "st_evaluation": Case("TripletEvaluator", {f"{T}.evaluator": "auto"}, {**ST, **WATCHED}),
    "st_guide_model": Case("org/guide", {"models.guide.source": "hf://org/guide"}, GUIDED),
    "st_cache_minibatch": Case(16, {f"{T}.loss.mini_batch_size": 16}, GUIDED),
    "st_cache_gist_temperature": Case(0.05, {f"{T}.loss.temperature": 0.05}, GUIDED),
    "st_triplet_margin": Case(3, {f"{T}.loss.triplet_margin": 3}, {**ST, "st_loss_func": "TripletLoss"}),
    "flash_attn": Case(True, {f"{T}.attn_implementation": "flash_attention_2"}),
    "is_resume": Case(False, {f"{T}.is_resume": True}),
    "model_commit_msg": Case("first try", {f"{P}.message": "first try"}, HUB),
    "train_test_split_ratio": Case(0.25, {f"{D}.train_test_split_ratio": 0.25}),
    "data_filtering": Case(True, {f"{D}.filters": FILTERS}),
    "tokenizer_max_len": Case(128, {f"{T}.max_length": 128, f"{T}.tokenizer_max_len": 128}),
    "output_dir": Case("out"),
    "overwrite_output_dir": Case(True),
    "use_stableadamw": Case(True, {f"{T}.optim": "stable_adamw"}),
    "optim": Case("adafactor", {f"{T}.optim": "adafactor"}),
    "save_strategy": Case("epoch", {f"{T}.save_strategy": "epoch"}),
    "save_steps": Case(50, {f"{T}.save_steps": 50}),
    "eval_strategy": Case("epoch", {f"{T}.eval_strategy": "epoch"}),
    "eval_steps": Case(50, {f"{T}.eval_steps": 50}, WATCHED),
    "per_device_eval_batch_size": Case(4, {f"{T}.per_device_eval_batch_size": 4}, WATCHED),
    "do_eval": Case(True, {f"{T}.do_eval": True}),
    "hub_model_id": Case("team/model", {f"{P}.hub_model_id": "team/model"}, HUB),
    "hub_strategy": Case("checkpoint", {f"{P}.hub_strategy": "checkpoint"}, HUB),
    "warmup_ratio": Case(0.1, {f"{T}.warmup_steps": 0.1}),
    "gradient_checkpointing": Case(True, {f"{T}.activation_checkpointing": True}),
    "use_peft": Case(True, {f"{T}.use_peft": True}),
    "peft_type": Case("ia3", {f"{T}.peft_type": "ia3"}, PEFT),
    "lora_target_modules": Case("q_proj, v_proj", {f"{T}.target_modules": ["q_proj", "v_proj"]}, PEFT),
    "lora_r": Case(4, {f"{T}.lora_r": 4}, PEFT),
    "lora_alpha": Case(8, {f"{T}.lora_alpha": 8}, PEFT),
    "lora_dropout": Case(0.2, {f"{T}.lora_dropout": 0.2}, PEFT),
    "lora_modules_to_save": Case("embed_tokens,lm_head", {f"{T}.modules_to_save": ["embed_tokens", "lm_head"]}, PEFT),
    "dpo_beta": Case(0.25, {f"{T}.beta": 0.25}, DPO),
    "dpo_label_smoothing": Case(0.1, {f"{T}.label_smoothing": 0.1}, DPO),
    "dpo_loss_type": Case("hinge", {f"{T}.loss_type": "hinge"}, DPO),
    "ref_model_path": Case("org/reference", {"models.reference.source": "hf://org/reference"}, DPO),
    **same(logging_steps=5, save_total_limit=2, max_grad_norm=0.5, per_device_train_batch_size=4, gradient_accumulation_steps=2),
    **same(learning_rate=1e-4, weight_decay=0.01, num_train_epochs=2, do_train=True, bf16=True),
    **same(adam_beta1=0.8, adam_beta2=0.98, adam_epsilon=1e-7),
    # of transformers' TrainingArguments, which its train.py takes too
    **same(
        max_steps=7, lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 1}, label_smoothing_factor=0.1, logging_first_step=True
    ),
    **same(auto_find_batch_size=False, dataloader_num_workers=1, dataloader_pin_memory=False, logging_strategy="steps"),
    **same(save_only_model=True, train_sampling_strategy="sequential"),
    "optim_args": Case("rank=8", {f"{T}.optim_args": "rank=8"}, {"optim": "galore_adamw"}),
    "fp16": Case(True, {f"{T}.fp16": True}, {"number_gpu": 1}),
    "seed": Case(7, {f"{T}.seeds": [7]}),
    "warmup_steps": Case(20, {f"{T}.warmup_steps": 20}),
    "gradient_checkpointing_kwargs": Case(
        {"use_reentrant": False}, {f"{T}.activation_checkpointing_kwargs.use_reentrant": False}, {"gradient_checkpointing": True}
    ),
    "group_by_length": Case(True, {f"{T}.train_sampling_strategy": "group_by_length"}),
    "load_best_model_at_end": Case(True, {f"{T}.load_best_model_at_end": True}, {"eval_strategy": "epoch", "save_strategy": "epoch"}),
    "metric_for_best_model": Case("loss", {f"{T}.metric_for_best_model": "loss"}, BEST),
    "greater_is_better": Case(False, {f"{T}.greater_is_better": False}, BEST),
    "early_stopping_patience": Case(2, {f"{T}.early_stopping_patience": 2}, BEST),
    "early_stopping_threshold": Case(0.1, {f"{T}.early_stopping_threshold": 0.1}, {**BEST, "early_stopping_patience": 2}),
    "report_to": Case("tensorboard", {"run.trackers.0.tracker": "tensorboard"}),
    "run_name": Case("first", {"run.trackers.0.name": "first"}, {"report_to": "tensorboard"}),
    **{
        name: Case(value)
        for name, value in {
            **{"logging_dir": "logs", "disable_tqdm": True, "remove_unused_columns": False, "ddp_find_unused_parameters": False},
            **{"ddp_timeout": 3600, "dataset_text_field": "text", "dataset_num_proc": 4, "dataloader_drop_last": False},
            **{"prediction_loss_only": False, "hub_private_repo": True, "torch_compile": False, "tf32": True, "save_safetensors": True},
        }.items()
    },
}
NAMES = polar_trainer.NAMES
SECRETS = {
    "hugging_face_token": "hf_canaryOfTheToken01",
    "minio_access_key": "canaryOfTheAccessKey02",
    "minio_secret_key": "canaryOfTheSecretKey03",
    "mlflow_url": "https://bob:canaryOfMlflow04@mlflow.example.com/path",
    "minio_url": "https://user:canaryOfMinio05@minio.example.com",
}
"""Arguments that hold what must be seen nowhere; of an address, what stands before the @."""


def beside(name: str) -> dict[str, Any]:
    """The arguments with which one can be tried."""
    return {**BASE, **CASES[name].beside}


SAMPLES = {spelling: CASES[name].value for spelling, name in NAMES.items()}
