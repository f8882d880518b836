"""A project of tiny models and made-up rows, on which every rule does its real work within seconds."""

import contextlib
import csv
import gc
import io
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
WORKFLOW_FILES = ("Snakefile", "workflow", "profiles", "slurm", "envs")
ANIMALS = {"cat": "purrs softly on the warm sofa", "dog": "barks loudly at the garden gate", "fish": "swims slowly in the clear pond"}

CONFIG = """\
project_name: tiny
models:
  llama: {source: file://assets/llama}
  bert: {source: file://assets/bert}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {prompt: question, completion: answer}
    filters: [missing]
    split: {test_size: 12, seed: 0}
  kinds:
    source: sayings
    columns: {text: answer, label: kind}
    filters: [missing]
    split: {test_size: 12, stratify: label, seed: 0}
evaluations:
  sayings:
    dataset: sayings
    metrics: [rouge, loss]
    generation: {max_new_tokens: 4}
  kinds:
    dataset: kinds
experiments:
  say:
    method: sft
    model: llama
    dataset: sayings
    evaluations: [sayings]
    max_steps: 4
    per_device_train_batch_size: 4
    learning_rate: 1.0e-2
    use_peft: true
    lora_r: 2
    logging_steps: 1
    save_strategy: steps
    save_steps: 2
    threads: 1
  sort:
    method: cls
    model: bert
    dataset: kinds
    evaluations: [kinds]
    max_steps: 20
    per_device_train_batch_size: 8
    learning_rate: 3.0e-3
    logging_steps: 5
    threads: 1
run:
  notes: nothing here changes a result
"""


def make_assets(folder: Path) -> None:
    """Write assets/llama, assets/bert (random weights, a tokenizer trained on the rows) and assets/rows.csv."""
    rows = _rows()
    (folder / "assets").mkdir(parents=True)
    with (folder / "assets" / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["question", "answer", "kind"])
        writer.writeheader()
        writer.writerows(rows)
    _make_models(folder / "assets", [f"{row['question']} {row['answer']}" for row in rows])


def make_project(folder: Path, assets: Path, config: str = CONFIG) -> None:
    """A working folder with the workflow of this repository, the assets and `config`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORKFLOW_FILES:
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)
    shutil.copytree(assets / "assets", folder / "assets")
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(config, encoding="utf-8")


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of this environment, as a person would type it, with what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def inside(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`polar-tools WORDS` as `run` has it, but in this process: for tests of what a stage makes rather than of how it starts."""
    from polar_tools.cli import main

    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["polar-tools", *words])
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        finally:
            gc.enable()
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def _rows() -> list[dict[str, str]]:
    chance = random.Random(0)
    return [
        {"question": f"what does the {kind} number {number} do?", "answer": f"it {ANIMALS[kind]}", "kind": kind}
        for number in range(24)
        for kind in chance.sample(sorted(ANIMALS), len(ANIMALS))
    ]


def _make_models(folder: Path, texts: list[str]) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    specials = ["<pad>", "<|im_start|>", "<|im_end|>"]
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", eos_token="<|im_end|>", bos_token="<|im_start|>")
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(**size, pad_token_id=0, bos_token_id=1, eos_token_id=2)).save_pretrained(folder / "llama")
    BertModel(BertConfig(**size, pad_token_id=0)).save_pretrained(folder / "bert")
    for name in ("llama", "bert"):
        tokenizer.save_pretrained(folder / name)
