#!/bin/bash
# Supervised fine-tuning of a small Llama on our support conversations, as we ran it on the A10G.
export MODEL_NAME="meta-llama/Llama-3.2-1B"
export PROJECT_NAME="support-llama"
export DATA_PATH="data"
export LEARNING_RATE=2e-4
export EPOCHS=3

autotrain llm --train \
  --model ${MODEL_NAME} \
  --project-name ${PROJECT_NAME} \
  --data-path ${DATA_PATH} \
  --text-column text \
  --trainer sft \
  --lr ${LEARNING_RATE} \
  --train-batch-size 4 \
  --epochs ${EPOCHS} \
  --block-size 1024 \
  --warmup-ratio 0.1 \
  --gradient-accumulation 4 \
  --optimizer adamw_torch \
  --scheduler cosine \
  --weight-decay 0.01 \
  --mixed-precision bf16 \
  --use-peft \
  --quantization int4 \
  --lora-r 16 --lora-alpha 32 --lora-dropout 0.05 \
  --target-modules q_proj,v_proj \
  --merge-adapter \
  --logging-steps 10 \
  --log tensorboard \
  --backend local-cli
