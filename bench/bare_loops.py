"""Two training loops without any tool: the simplest that one writes down, and the best one for a CPU.

    python bench/bare_loops.py MODEL rows.jsonl OUT [--best]

The simplest pads rows as they come and asks the model for its loss. The best one batches rows of like length, runs the head only where
something is trained on, takes each adapter with its layer in one autograd function, and 16 bits only where they are faster here.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

Row = tuple[list[int], list[int]]
"""Token ids, and labels: -100 where nothing is trained on."""


class Adapted(torch.autograd.Function):
    """`x W' + scale x A' B'`, [..., in] -> [..., out], with what the backward pass needs and no more: x and x A'."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, down: Any, up: Any, scale: float) -> Any:
        """`down` is [rank, in], `up` [out, rank]."""
        flat = x.flatten(0, -2)
        inner = flat @ down.t()
        ctx.save_for_backward(flat, inner, weight, down, up)
        ctx.scale = scale
        return (flat @ weight.t()).addmm_(inner, up.t(), alpha=scale).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        """By x, where anything before it is trained, and by the adapter."""
        flat, inner, weight, down, up = ctx.saved_tensors
        gradient = upstream.flatten(0, -2)
        by_inner = (gradient @ up).mul_(ctx.scale)
        by_x = (gradient @ weight).addmm_(by_inner, down) if ctx.needs_input_grad[0] else None
        by_x = None if by_x is None else by_x.view(*upstream.shape[:-1], -1)
        return by_x, None, by_inner.t() @ flat, (gradient.t() @ inner).mul_(ctx.scale), None


def fuse(model: torch.nn.Module) -> None:
    """Let every layer with a LoRA adapter run by `Adapted`."""
    from peft.tuners.lora import Linear

    for layer in (module for module in model.modules() if isinstance(module, Linear)):
        base, down, up = layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight
        scale = layer.scaling["default"]
        vars(layer)["forward"] = lambda x, *_, base=base, down=down, up=up, scale=scale: Adapted.apply(x, base, down, up, scale)


def read(tokenizer: Any, file: str) -> list[Row]:
    """The rows, with labels on the last turn."""
    rows = []
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        messages = json.loads(line)["messages"]
        whole = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
        asked = len(tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=True)["input_ids"])
        rows.append((whole, [-100] * asked + whole[asked:]))
    return rows


def padded(rows: list[Row], pad: int) -> dict[str, torch.Tensor]:
    """A batch, [rows, tokens]."""
    size = max(len(ids) for ids, _ in rows)

    def filled(lists: list[list[int]], value: int) -> torch.Tensor:
        return torch.tensor([one + [value] * (size - len(one)) for one in lists])

    ids, labels = (filled(list(lists), value) for lists, value in zip(zip(*rows, strict=True), (pad, -100), strict=True))
    return {"input_ids": ids, "attention_mask": filled([[1] * len(row) for row, _ in rows], 0), "labels": labels}


def batches(rows: list[Row], size: int, steps: int, by_length: bool) -> Iterator[list[Row]]:
    """Rows in any order, or those of like length together and the batches in any order."""
    chance = random.Random(0)  # noqa: S311
    made: list[list[Row]] = []
    while len(made) < steps:
        inorder = sorted(rows, key=lambda row: len(row[0])) if by_length else chance.sample(rows, len(rows))
        epoch = [inorder[start : start + size] for start in range(0, len(inorder), size)]
        made += chance.sample(epoch, len(epoch)) if by_length else epoch
    yield from made[:steps]


def half_is_faster(tokens: int = 512, width: int = 1024) -> bool:
    """Whether this machine multiplies matrices of bfloat16 faster than those of float32."""
    took = {}
    for dtype in (torch.float32, torch.bfloat16):
        one, other = torch.ones(tokens, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
        one @ other
        began = time.process_time()
        for _ in range(5):
            one @ other
        took[dtype] = time.process_time() - began
    return took[torch.bfloat16] < took[torch.float32] / 2


def loss_on_answers(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean cross-entropy, with the head run on what is trained on only."""
    backbone, head = model.base_model.model.model, model.get_output_embeddings()
    hidden = backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).last_hidden_state
    targets = batch["labels"][:, 1:]
    trained = targets.ne(-100)
    return torch.nn.functional.cross_entropy(head(hidden[:, :-1][trained]).float(), targets[trained])


def main() -> None:
    """Train, say each step's loss, save the adapter."""
    parser = argparse.ArgumentParser()
    for name in ("model", "rows", "out"):
        parser.add_argument(name)
    for name, kind in {"steps": int, "batch": int, "rank": int, "alpha": int, "learning-rate": float}.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--switches", default="length,head,fused,half", help="what --best does, for trying some alone")
    told = parser.parse_args()
    on = set(told.switches.split(",")) if told.best else set()

    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    half = "half" in on and half_is_faster()
    tokenizer = AutoTokenizer.from_pretrained(told.model)
    base = AutoModelForCausalLM.from_pretrained(told.model, dtype=torch.bfloat16 if half else torch.float32)
    adapter = LoraConfig(r=told.rank, lora_alpha=told.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, adapter, autocast_adapter_dtype=not half)
    if "fused" in on:
        fuse(model)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    masters = [weight.detach().float().requires_grad_() for weight in trained] if half else trained
    optimizer = torch.optim.AdamW(masters, lr=told.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / told.steps)
    rows = read(tokenizer, told.rows)
    model.train()
    for step, some in enumerate(batches(rows, told.batch, told.steps, "length" in on), 1):
        batch = padded(some, tokenizer.pad_token_id)
        loss = loss_on_answers(model, batch) if "head" in on else model(**batch).loss
        loss.backward()
        if half:
            for master, weight in zip(masters, trained, strict=True):
                master.grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if half:
            with torch.no_grad():
                for master, weight in zip(masters, trained, strict=True):
                    weight.copy_(master)
        print(f"step {step}/{told.steps}  loss {loss.item():.4f}", flush=True)
    model.save_pretrained(told.out)


if __name__ == "__main__":
    main()
