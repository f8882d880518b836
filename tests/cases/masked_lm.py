"""Which word is missing in what animals do."""

import shutil
from pathlib import Path

from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

FAST = True
METRIC = "token_accuracy"
MARGIN = 0.4

CONFIG = """\
models: {bert: {source: file://assets/masking}}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {text: answer}
    split: {test_size: 12, seed: 0}
evaluations: {learn: {dataset: sayings}}
experiments:
  learn:
    method: masked_lm
    model: bert
    dataset: sayings
    evaluations: [learn]
    whole_word_mask: true
    mlm_probability: 0.3
    max_steps: 150
    learning_rate: 5.0e-3
    logging_steps: 50
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared rows, and a tiny encoder without a head, whose tokenizer has a mask."""
    shutil.copytree(assets / "assets", folder / "assets")
    tokenizer = AutoTokenizer.from_pretrained(folder / "assets" / "bert")
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    set_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = BertModel(BertConfig(**size, vocab_size=len(tokenizer), pad_token_id=0))
    for part in (model, tokenizer):
        part.save_pretrained(folder / "assets" / "masking")
