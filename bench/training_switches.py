"""What each switch of a training step saves, one on top of the last: CPU seconds of a step, by turns in one process.

    python -m bench.training_switches [--threads 1] [--rounds 4] [--rows 8]

Forward and backward pass of SmolLM2-135M with LoRA on a batch of bench/training.py's rows: lengths that differ from row to row, the loss on
the answer only. Without any switch it is what `model(**batch).loss.backward()` does with all activations computed twice, as the peers'
defaults have it. Reports the least of the rounds, and how far each loss is from the first.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from bench.bare_loops import Row, read
from bench.training import FOLDER
from bench.training_job import prepare
from polar_tools import head_loss
from polar_tools.trainers.flattening import flattening
from polar_tools.training import fused_lora

Batch = dict[str, torch.Tensor]


def adapted(path: Path, dtype: torch.dtype = torch.float32, attention: str = "sdpa") -> Any:
    """The model with a new adapter."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation=attention)
    settings = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, settings, autocast_adapter_dtype=False).train()


def whole_logits(model: Any, batch: Batch) -> torch.Tensor:
    """The loss as the model takes it."""
    return model(**batch, use_cache=False).loss


def in_head(model: Any, batch: Batch) -> torch.Tensor:
    """The loss as the methods take it: the head where something is trained on."""
    targets = batch["labels"][:, 1:]
    trained = targets.ne(-100)
    columns = trained.any(0).nonzero().flatten()
    given = {name: value for name, value in batch.items() if name != "labels"} | {"use_cache": False, "logits_to_keep": columns}
    seen = head_loss.run(model, model.get_output_embeddings(), given, targets[:, columns], trained[:, columns])
    assert seen is not None
    return seen[1].loss / trained.sum()


def timed(model: Any, loss_of: Callable[[Any, Batch], torch.Tensor], batch: Batch) -> tuple[float, float]:
    """CPU seconds of both passes, and the loss."""
    model.zero_grad()
    began = time.process_time()
    loss = loss_of(model, batch)
    loss.backward()
    return time.process_time() - began, loss.item()


def ladder(path: Path, rows: list[Row], pad: int) -> dict[str, Callable[[], tuple[float, float]]]:
    """Name -> a step with all switches up to it."""
    examples = [{"input_ids": ids, "labels": labels} for ids, labels in rows]
    collator = DataCollatorForLanguageModeling(pad)
    padded = collator([dict(example) for example in examples])
    again, plain, fused = adapted(path), adapted(path), adapted(path)
    again.gradient_checkpointing_enable({"use_reentrant": False})
    again.enable_input_require_grads()
    fused_lora.fuse(fused)
    flat = flattening(plain, collator)([dict(example) for example in examples])
    half = adapted(path, torch.bfloat16)
    fused_lora.fuse(half)
    eager = adapted(path, attention="eager")
    fused_lora.fuse(eager)
    return {
        "none: padded rows, all logits, activations computed twice": lambda: timed(again, whole_logits, padded),
        "activations kept (`activation_checkpointing: false`, the default)": lambda: timed(plain, whole_logits, padded),
        "the head only where something is trained on (always)": lambda: timed(plain, in_head, padded),
        "rows behind each other (`padding_free`, by itself)": lambda: timed(plain, in_head, flat),
        "an adapter and its layer in one (always)": lambda: timed(fused, in_head, flat),
        "instead of sdpa: `attn_implementation: eager`": lambda: timed(eager, in_head, flat),
        "instead of float32: all in bfloat16": lambda: timed(half, in_head, flat),
    }


def multiplied(dtype: torch.dtype, tokens: int = 512, width: int = 576, hidden: int = 1536) -> float:
    """Billions of operations a CPU second of a matrix product as the model's feed-forward layers have it."""
    one, other = torch.randn(tokens, width).to(dtype), torch.randn(width, hidden).to(dtype)
    one @ other
    began = time.process_time()
    for _ in range(50):
        one @ other
    return 50 * 2 * tokens * width * hidden / (time.process_time() - began) / 1e9


def main() -> None:
    """Print the ladder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rows", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    job = prepare(FOLDER / "job", 12, asked.threads)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    rows = read(tokenizer, str(job.train))[: asked.rows]
    print(json.dumps({"tokens": [len(ids) for ids, _ in rows]}))
    for dtype in (torch.float32, torch.bfloat16):
        print(f"matrix products of {dtype}: {multiplied(dtype):.0f} billion operations a CPU second")
    steps = ladder(job.model, rows, tokenizer.pad_token_id)
    took: dict[str, list[float]] = {name: [] for name in steps}
    losses: dict[str, float] = {}
    for _ in range(asked.rounds):
        for name, step in steps.items():
            seconds, losses[name] = step()
            took[name].append(seconds)
    print("| with | CPU s a step | of the one before | loss |\n|---|---|---|---|")
    least = {name: min(seconds) for name, seconds in took.items()}
    before = next(iter(least.values()))
    for name, seconds in least.items():
        print(f"| {name} | {seconds:.2f} | {seconds / before:.2f} | {losses[name]:.4f} |")
        before = least["an adapter and its layer in one (always)"] if name.startswith(("an adapter", "instead")) else seconds


if __name__ == "__main__":
    main()
