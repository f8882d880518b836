"""POLAR Trainer: Gemma learns to answer, from a script that builds its command."""

import os
import subprocess

hugging_face_user_id = "sample-team"
hugging_face_token = os.environ.get("HUGGING_FACE_TOKEN")
mlflow_url = ""
number_gpu = 8
project_name = "shop-answers"
training_method = "gemma"
model_load_method = "huggingface"
dataset_load_method = "minio"
use_sfttrainer = True
use_dpotrainer = False
use_ppotrainer = False
use_grpotrainer = False
use_deepspeed = True
ds_jsonpath = ""
ds_preset = "zero-3"
ds_stage2_bucket_size = 5e8
ds_stage3_sub_group_size = 1e7
model_name_or_path = "google/gemma-3-1b-it"
train_data = "shop/answers"
train_data_split = "train"
test_data = ""
test_data_split = ""
dataset_main_column = "question"
dataset_sub_column = "answer"
dataset_minor_column = ""
minio_data_load_bucket = "corpora"
push_to_hub = True
push_to_minio = False
hub_model_id = ""
hub_strategy = "every_save"
model_commit_msg = "answers of the shop"
flash_attn = True
is_resume = True
train_test_split_ratio = 0.1
data_filtering = True
tokenizer_max_len = 0
use_stableadamw = False
optim = "adamw_torch"
adam_beta1 = 0.9
adam_beta2 = 0.99
adam_epsilon = 1e-7
save_strategy = "epoch"
save_steps = 1000
eval_strategy = "epoch"
eval_steps = 1000
logging_steps = 5
max_grad_norm = 1
per_device_train_batch_size = 1
per_device_eval_batch_size = 1
gradient_accumulation_steps = 32
learning_rate = 1e-4
gradient_checkpointing = True
num_train_epochs = 1
warmup_ratio = 0.1
weight_decay = 0.01
do_train = True
do_eval = True
bf16 = True
use_peft = True
peft_type = "lora"
lora_target_modules = "q_proj, k_proj, v_proj, o_proj"
lora_r = 16
lora_alpha = 32
lora_dropout = 0.05
lora_modules_to_save = "embed_tokens,lm_head"
dpo_beta = 0.25
dpo_label_smoothing = 0.1

command = ["deepspeed" if use_deepspeed else "torchrun", f"--num_gpus={number_gpu}", "train.py", f"--model_name={project_name}"]

if __name__ == "__main__":
    subprocess.run(command, check=True)
