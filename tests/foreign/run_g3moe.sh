#!/bin/bash
# Usage: ./run_g3moe.sh [config.json] [number of GPUs]
set -e

GREEN='\033[0;32m'
NC='\033[0m'
SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
CONFIG_FILE="${1:-$SCRIPT_DIR/g3moe.json}"
NUM_GPUS="${2:-$(python3 -c 'import torch; print(torch.cuda.device_count())')}"
MAX_LENGTH=120000

if [ ! -f "$CONFIG_FILE" ]; then
    echo "there is no $CONFIG_FILE"
    exit 1
fi

export TOKENIZERS_PARALLELISM=false
for package in torch transformers trl peft; do
    python3 -c "import $package"
done

echo -e "${GREEN}training${NC}"
if torchrun --nproc_per_node=$NUM_GPUS "$SCRIPT_DIR/custom_model_sft.py" --config "$CONFIG_FILE" \
    --max_seq_length $MAX_LENGTH --learning_rate 5e-5 --report_to none; then
    echo -e "${GREEN}done${NC}"
else
    exit 1
fi
