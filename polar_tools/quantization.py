"""A base held in 4 or 8 bits while an adapter is trained on it, by bitsandbytes."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from polar_tools.errors import WorldError

if TYPE_CHECKING:
    from polar_tools.methods.base import Config, Features


def options(config: Config, path: str, model_class: str, features: Features) -> dict[str, Any]:
    """What `from_pretrained` must be told; nothing without `quantization`. Raises WorldError where bitsandbytes is missing."""
    if config.quantization is None:
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise WorldError(
            f"quantization: {config.quantization} needs the package bitsandbytes, which isn't here: pip install 'polar-tools[quantize]'"
        )
    import torch
    from transformers import BitsAndBytesConfig

    place, heads = {"": torch.cuda.current_device() if config.gpus else "cpu"}, _heads(config, path, model_class, features)
    whole = {"llm_int8_skip_modules": [*heads, *config.modules_to_save] if heads else None}
    if config.quantization == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True, **whole), "device_map": place}
    four = BitsAndBytesConfig(
        load_in_4bit=True,
        **whole,
        bnb_4bit_quant_type=config.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=config.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=getattr(torch, config.bnb_4bit_compute_dtype or config.dtype),
    )
    return {"quantization_config": four, "device_map": place}


def _heads(config: Config, path: str, model_class: str, features: Features) -> list[str]:
    """The parts beside a model's body: they are new, or their rounding is what would be read. Of some models not even the body is told."""
    import torch
    import transformers

    told = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=config.trust_remote_code, **features)
    with torch.device("meta"):
        skeleton = getattr(transformers, model_class).from_config(told, trust_remote_code=config.trust_remote_code)
    parts = [name for name, _ in skeleton.named_children()]
    return [name for name in parts if name != skeleton.base_model_prefix] if skeleton.base_model_prefix in parts else []


def ready(model: Any, config: Config) -> Any:
    """A quantized `model` with what can't be trained in it frozen, and the rest in float32, as peft wants it."""
    from peft import prepare_model_for_kbit_training

    if config.quantization is None:
        return model
    _keep_as_they_are(model)
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def _keep_as_they_are(model: Any) -> None:
    """Have weights of 4 bits stay in the order in which gradients are computed of them.

    Where nothing is learnt, as in an evaluation, bitsandbytes puts them into another order for processors that know AVX-512's bfloat16, and
    every gradient after that is wrong; of layers that are narrower than a block it fails.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
