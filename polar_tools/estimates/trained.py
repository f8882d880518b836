"""How many weights a training changes, and what its optimizer remembers of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from polar_tools.estimates.amounts import UnknownError
from polar_tools.estimates.architecture import Architecture, Tensor

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

TWO, ONE, NONE = 2.0, 1.0, 0.0
STATES = {
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused", "stable_adamw"), TWO),
    **dict.fromkeys(("paged_adamw_32bit", "schedule_free_adamw", "schedule_free_radam", "adamw_anyprecision"), TWO),
    **dict.fromkeys(("ademamix", "paged_ademamix_32bit", "grokadamw"), 3.0),
    **dict.fromkeys(("lion_32bit", "paged_lion_32bit", "adagrad", "schedule_free_sgd"), ONE),
    **dict.fromkeys(("rmsprop", "rmsprop_bnb", "rmsprop_bnb_32bit"), ONE),
    **dict.fromkeys(("sgd", "adafactor", "lomo", "adalomo"), NONE),
}
"""Numbers in the type of the weights that an optimizer keeps of each (`momentum` adds one); adafactor keeps sums of rows and columns."""
BYTES = {
    **dict.fromkeys(("adamw_bnb_8bit", "adamw_8bit", "paged_adamw_8bit", "adamw_torch_8bit"), 2.0),
    **dict.fromkeys(("ademamix_8bit", "paged_ademamix_8bit"), 3.0),
    **dict.fromkeys(("lion_8bit", "paged_lion_8bit", "rmsprop_bnb_8bit"), 1.0),
    "adamw_torch_4bit": 1.0,
}
"""Bytes of each weight, whatever its type: optimizers that remember in few bits (Dettmers et al. 2022)."""
TYPE = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
BITS = {"int4": 0.5 + 4 / 64, "int8": 1.0 + 4 / 4096}
"""Bytes of a weight of a quantized linear layer, with its share of the scales."""
RANK = {"lora": 16, "adalora": 12}
"""Where `lora_r` is not given: ours, and peft's 12 of adalora's beginning; 8 of all others."""
WHOLE_RANK = ("lora", "adalora", "loha", "osf", "hira", "delora")
"""Types whose weights are a matrix [rank, in] and one [out, rank] for each linear layer."""


def states(config: Config, trained: float) -> float:
    """Bytes of the optimizer's memory for `trained` bytes of weights; raises UnknownError for one whose size isn't known here."""
    name = config.optim
    momentum = any(part.strip().startswith("momentum=") for part in (config.optim_args or "").split(","))
    if name in STATES:
        return trained * (STATES[name] + momentum)
    if name in BYTES:
        return trained / width(config) * BYTES[name]
    raise UnknownError(f"what `optim: {name}` remembers depends on its settings, and isn't known here")


def computed(config: Config, largest: float) -> float:
    """Bytes that an optimizer computes beside a weight of `largest` bytes: two numbers of each. transformers' Adafactor does so in float32,
    with copies of the weight and its gradient.
    """
    return largest * (8.0 if config.optim == "adafactor" and width(config) < 4 else 2.0)


def width(config: Config) -> float:
    """Bytes of a weight that is trained. peft holds adapters on a base of 16 bits in float32."""
    return 4.0 if config.use_peft else TYPE[config.dtype]


def weights(config: Config, model: Architecture, head: bool) -> float:
    """Bytes of the whole model as it is loaded for training; `head` says whether a language model's own head is a part of it."""
    number = model.parameters - (0 if head else model.head)
    if config.quantization is None:
        return number * TYPE[config.dtype]
    few = sum(tensor.size for tensor in model.linear)
    return few * BITS[config.quantization] + (number - few) * 4.0  # peft holds the rest of a quantized base in float32


def number(config: Config, model: Architecture, head: bool) -> float:
    """How many weights are trained."""
    if not config.use_peft:
        return model.parameters - (0 if head else model.head)
    return sum(adapter_of(config, tensor) for tensor in adapted(config, model)) + sum(
        tensor.size for tensor in model.tensors if any(f".{name}." in f".{tensor.name}." for name in config.modules_to_save)
    )


def adapted(config: Config, model: Architecture) -> Iterator[Tensor]:
    """The linear layers that get an adapter; raises UnknownError where the model's layers aren't known yet."""
    if not model.linear:
        raise UnknownError(f"the linear layers in {model.folder} are not known: there are no safetensors files")
    targets = config.targets()
    for tensor in model.linear:
        module = tensor.name.removesuffix(".weight")
        if targets in (None, "all-linear"):
            yield tensor
        elif isinstance(targets, list):
            if any(module == name or module.endswith(f".{name}") for name in targets):
                yield tensor
        elif re.fullmatch(str(targets), module) or module.endswith(f".{targets}"):
            yield tensor


def adapter_of(config: Config, tensor: Tensor) -> int:
    """Weights of the adapter on one linear layer."""
    rows, columns = tensor.shape
    if config.peft_type in ("ia3", "ln_tuning"):
        return max(rows, columns)
    return rank(config) * (rows + columns) + (rows if config.use_dora else 0)


def rank(config: Config) -> int:
    """The rank of an adapter."""
    given: Any = config.lora_r
    if given is not None:
        return -(-3 * int(given) // 2) if config.peft_type == "adalora" else int(given)
    return RANK.get(config.peft_type, 8)


def is_guessed(config: Config) -> bool:
    """Whether the adapter's size is that of a LoRA of its rank, for want of anything better."""
    return config.use_peft and config.peft_type not in (*WHOLE_RANK, "ia3")
