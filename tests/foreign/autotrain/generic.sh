# continued pre-training on plain documents
autotrain llm --train --model HuggingFaceTB/SmolLM2-135M --project_name docs-lm --data_path data --text_column text \
  --lr 3e-5 --batch_size 8 --epochs 1 --trainer default --block_size 512 --add_eos_token --disable-gc --scheduler linear
