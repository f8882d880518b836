"""Adapters of peft: made of an experiment's fields, put on a model, and merged into it once they are seen to be the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polar_tools.errors import ConfigError, WorldError, first_line
from polar_tools.experiment.names import NEVER_MERGED
from polar_tools.signatures import checked

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from polar_tools.methods.base import Config

OWN_CHOICE = ("adaption_prompt", "ia3", "ln_tuning", "shadow", "trainable_tokens")
"""Types that change something else than all linear layers, and know what."""
DEFAULTS = {"lora": {"lora_r": 16, "lora_alpha": 32}}
"""Where ours are others than peft's."""
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""How far merged outputs may be from those of the adapter, as a share of their size: weights are rounded once more."""
LONGEST = 256
"""Tokens of a row that merged outputs are compared on."""


def settings(config: Config, task_type: str) -> PeftConfig:
    """What peft is to make; raises ConfigError for a field that the type doesn't read, and for arguments that it doesn't have."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    cls = PEFT_TYPE_TO_CONFIG_MAPPING[config.peft_type.upper()]
    given = {**_fields(config, cls), "task_type": task_type}
    taken = {
        **{name: f"write `{ours}` beside `peft_args`" for ours, name in _own_names(config.peft_type, cls).items()},
        **dict.fromkeys(("task_type", "peft_type", "base_model_name_or_path", "inference_mode", "total_step"), "POLAR sets it itself"),
    }
    extra = checked(cls, config.peft_args, "peft_args", taken)
    if config.peft_type == "adalora":
        given |= {"total_step": 10**9}  # Allocation sets it to the steps that there are
    try:
        return cls(**{**given, **extra})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"peft_type: {config.peft_type}: {first_line(error)}") from error


def _own_names(peft_type: str, cls: type) -> dict[str, str]:
    """Our fields -> what the type calls them; those that it has not are left out."""
    known = cls.__dataclass_fields__  # type: ignore[attr-defined]
    candidates = {
        "lora_r": {"adalora": ("target_r",), "osf": ("effective_rank",)}.get(peft_type, ("r",)),
        "lora_alpha": ("lora_alpha", "alpha", f"{peft_type}_alpha"),
        "lora_dropout": ("lora_dropout", f"{peft_type}_dropout"),
        "use_rslora": ("use_rslora",),
        "use_dora": ("use_dora",),
        "target_modules": ("target_modules",),
        "modules_to_save": ("modules_to_save",),
    }
    found = {ours: [name for name in names if name in known] for ours, names in candidates.items()}
    return {ours: names[0] for ours, names in found.items() if names}


def _fields(config: Config, cls: type) -> dict[str, Any]:
    """Our fields, those that are given, by the names of the type."""
    names = _own_names(config.peft_type, cls)
    values: dict[str, Any] = {
        "lora_r": config.lora_r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "use_rslora": config.use_rslora or None,
        "use_dora": config.use_dora or None,
        "target_modules": config.targets(),
        "modules_to_save": list(config.modules_to_save) or None,
    }
    given = {name: value for name, value in values.items() if value is not None}
    if unread := [name for name in given if name not in names]:
        own = ", ".join(sorted(set(cls.__dataclass_fields__) - set(names.values())))  # type: ignore[attr-defined]
        raise ConfigError(f"{unread[0]}: {config.peft_type} has no such setting; its own, which go into `peft_args`, are {own}")
    if config.peft_type not in OWN_CHOICE:
        given.setdefault("target_modules", "all-linear")
    given = {**DEFAULTS.get(config.peft_type, {}), **given}
    return {**_beside(config.peft_type, given), **{names[name]: value for name, value in given.items()}}


def _beside(peft_type: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What else must be said with a field; `peft_args` may say otherwise."""
    if peft_type == "adalora" and "lora_r" in given:
        return {"init_r": -(-3 * given["lora_r"] // 2)}  # half as much again at the beginning, as its authors had it
    if peft_type == "oft" and "lora_r" in given:
        return {"oft_block_size": 0}  # of the two that give its size one must be 0
    if peft_type == "ia3" and "target_modules" in given:
        return {"feedforward_modules": []}  # peft would take names that may not be among them
    return {}


def attach(model: PreTrainedModel, config: Config, base: str, task_type: str) -> PeftModel:
    """`model` with a new adapter; raises ConfigError where its target modules match nothing."""
    from peft import get_peft_model

    made = settings(config, task_type)
    try:
        adapted = get_peft_model(model, made)
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:  # peft checks each type in its own way
        field = "peft_type" if config.target_modules is None else "target_modules"
        raise ConfigError(f"{field}: {config.peft_type} can't be put on {type(model).__name__}: {first_line(error)}") from error
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def inside(model: Any) -> Iterator[PeftModel]:
    """Every model with an adapter in `model`, which may be one itself."""
    from peft import PeftModel

    return (module for module in model.modules() if isinstance(module, PeftModel))


def replaced(model: Any, old: Any, new: Any) -> Any:
    """`model` with the module `new` in place of `old`, which may be the model itself."""
    if model is old:
        return new
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)
    return model


def can_merge(model: PeftModel) -> bool:
    """Whether the adapter can become a part of the weights."""
    return all(settings.peft_type.value.lower() not in NEVER_MERGED for settings in model.peft_config.values())


def merged(model: PeftModel, rows: Sequence[Sequence[int]], dtype: str) -> tuple[PreTrainedModel, float]:
    """The base with the adapter in its weights, and how far its outputs for `rows`, token ids, are from the adapter's.

    Raises WorldError where that is more than rounding explains.
    """
    model.eval()
    before = [_outputs(model, row) for row in rows]
    whole = model.merge_and_unload()
    apart = _apart(before, [_outputs(whole, row) for row in rows])
    if not apart <= TOLERANCE[dtype]:
        raise WorldError(
            f"the merged model's outputs are not those of the adapter: they differ by {apart:.2g} of their size, more than "
            f"{TOLERANCE[dtype]:g} that rounding to {dtype} explains. Set `merge_adapter: false`, or a `dtype` of more bits"
        )
    return whole, apart


def distance(one: Any, other: Any, rows: Sequence[Sequence[int]]) -> float:
    """How far the outputs of two models for `rows`, token ids, are from each other, as a share of their size, where it is most."""
    return _apart([_outputs(one, row) for row in rows], [_outputs(other, row) for row in rows])


def _apart(before: Sequence[Any], after: Sequence[Any]) -> float:
    return max((float((new - old).norm() / old.norm().clamp(min=1e-12)) for old, new in zip(before, after, strict=True)), default=0.0)


def _outputs(model: Any, row: Sequence[int]) -> Any:
    """The first thing that a model gives for a row: logits or hidden states."""
    import torch

    ids = torch.tensor([list(row)[:LONGEST]], device=next(model.parameters()).device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    with torch.inference_mode():
        return model(**inputs)[0].double()
