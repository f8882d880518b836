#!/bin/bash
# POLAR Trainer: embeddings of questions, as its train.py is called
set -e

PROJECT=${1:-faq-embeddings}
MODEL="BAAI/bge-m3"

echo "training $PROJECT"
torchrun --nproc_per_node=1 train.py \
  --model_name="$PROJECT" \
  --model_train_method=sentence-transformer \
  --model_name_or_path="$MODEL" \
  --train_data=sample-team/faq \
  --dataset_main_colunm=question --dataset_sub_colunm=passage --dataset_minor_colunm=other \
  --st_loss_func=CachedGISTEmbedLoss \
  --st_guide_model=nlpai-lab/KURE-v1 \
  --st_cache_minibatch=16 \
  --st_pooling_mode=cls --st_dense_feature=0 --st_evaluation=TripletEvaluator \
  --train_test_split_ratio=0.1 --tokenizer_max_len=512 \
  --eval_strategy=epoch --do_eval=True \
  --per_device_train_batch_size=256 --learning_rate=2e-5 --num_train_epochs=1 --bf16=True > train.log 2>&1
