"""Questions about animals and their answers, by a tiny BART."""

import shutil
from pathlib import Path

from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration, set_seed

FAST = True
METRIC = "rougeL"
MARGIN = 0.4

CONFIG = """\
models: {bart: {source: file://assets/bart}}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {document: question, summary: answer}
    split: {test_size: 12, seed: 0}
evaluations: {learn: {dataset: sayings, generation: {max_new_tokens: 16}}}
experiments:
  learn:
    method: seq2seq
    model: bart
    dataset: sayings
    evaluations: [learn]
    source_prefix: "answer: "
    max_steps: 60
    learning_rate: 1.0e-2
    logging_steps: 20
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """The shared rows, and a tiny encoder-decoder."""
    shutil.copytree(assets / "assets", folder / "assets")
    tokenizer = AutoTokenizer.from_pretrained(folder / "assets" / "llama")
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
    size = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 64) | {"d_model": 32, "max_position_embeddings": 128}
    layers = dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 2)
    set_seed(0)
    model = BartForConditionalGeneration(BartConfig(vocab_size=len(tokenizer), **ids, **size, **layers))
    for part in (model, tokenizer):
        part.save_pretrained(folder / "assets" / "bart")
