"""Models on whole rows and on parts of them: `torchrun tests/dividing.py KIND...`; rank 0 prints a line of JSON for each, of float64.

`outputs` and `gradients` are how far those of the parts are from those of the whole, as shares of the largest; `same` is what a training
finds out before its first step.
"""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist
import transformers

from polar_tools.trainers import ulysses
from polar_tools.trainers.ulysses import Group

SIZE = {"vocab_size": 120, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8}
MORE: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 4},
    "qwen3": {"num_key_value_heads": 1},  # fewer than processes
    "mistral": {"num_key_value_heads": 2, "sliding_window": 5},
    "gemma3_text": {"num_key_value_heads": 1, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
    "lfm2": {"num_key_value_heads": 4, "layer_types": ["conv", "full_attention"]},  # a convolution from token to token
}


def main() -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    for kind in sys.argv[1:]:
        found = compared(kind, Group.of(dist.get_world_size()))
        if dist.get_rank() == 0:
            print(json.dumps({"kind": kind, **found}), flush=True)
    dist.destroy_process_group()


def compared(kind: str, group: Group) -> dict[str, Any]:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZE, pad_token_id=0, **MORE[kind])
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").double().train(False)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    ids, scales = torch.randint(3, 120, (2, 8 * group.size)), torch.randn(2, 8 * group.size, 120, dtype=torch.float64)
    places = torch.arange(ids.shape[1]).expand(2, -1)
    whole = model(input_ids=ids, use_cache=False).logits
    (whole * scales).sum().backward()
    wanted = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    with ulysses.divided(group):
        part = model(input_ids=group.part(ids), position_ids=group.part(places), use_cache=False).logits
        (part * group.part(scales)).sum().backward()
    outputs = (part - group.part(whole)).abs().max() / whole.abs().max()
    dist.all_reduce(outputs, op=dist.ReduceOp.MAX)
    for weight in model.parameters():
        dist.all_reduce(weight.grad)
    gradients = max(float((weight.grad - wanted[name]).abs().max() / wanted[name].abs().max()) for name, weight in model.named_parameters())
    same = ulysses.does_the_same(model, group, torch.device("cpu"), 1e-6)
    return {"outputs": float(outputs.detach()), "gradients": gradients, "same": same}


if __name__ == "__main__":
    main()
