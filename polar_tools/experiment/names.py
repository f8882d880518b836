"""Names that the libraries know, written down here: importing the libraries to ask takes seconds. A test compares.

A new release of a library may know more names: add them here.
"""

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from polar_tools.fields import did_you_mean

OPTIMIZERS = (
    *("adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused", "adafactor", "adamw_anyprecision"),
    *("adamw_torch_4bit", "adamw_torch_8bit", "ademamix", "sgd", "adagrad", "adamw_bnb_8bit", "adamw_8bit", "ademamix_8bit"),
    *("lion_8bit", "lion_32bit", "paged_adamw_32bit", "paged_adamw_8bit", "paged_ademamix_32bit", "paged_ademamix_8bit"),
    *("paged_lion_32bit", "paged_lion_8bit", "rmsprop", "rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit"),
    *("galore_adamw", "galore_adamw_8bit", "galore_adafactor", "galore_adamw_layerwise", "galore_adamw_8bit_layerwise"),
    *("galore_adafactor_layerwise", "lomo", "adalomo", "grokadamw", "schedule_free_radam", "schedule_free_adamw"),
    *("schedule_free_sgd", "apollo_adamw", "apollo_adamw_layerwise", "stable_adamw"),
)
"""transformers' OptimizerNames."""
WITHOUT_ADAM = (
    *("adafactor", "adagrad", "sgd", "rmsprop", "rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit", "lomo", "adalomo"),
    *("grokadamw", "schedule_free_sgd", *(name for name in OPTIMIZERS if name.startswith("galore"))),
)
"""Optimizers to which transformers hands none of Adam's settings."""
_PROJECTED = ("rank", "update_proj_gap", "scale", "proj_type")
OPTIM_ARGS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "dampening", "weight_decay", "nesterov"),
    "adagrad": ("lr_decay", "weight_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "weight_decay", "centered"),
    "adamw_anyprecision": ("use_kahan_summation", "momentum_dtype", "variance_dtype", "compensation_buffer_dtype"),
    "grokadamw": ("alpha_init", "lamb", "gamma", "grokking_signal_decay_rate", "gradient_clipping"),
    "stable_adamw": ("decouple_lr", "max_lr", "kahan_sum"),
    **{name: ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3") for name in OPTIMIZERS if "ademamix" in name},
    **{name: _PROJECTED for name in OPTIMIZERS if name.startswith("galore")},
    **{name: (*_PROJECTED, "proj", "scale_type") for name in OPTIMIZERS if name.startswith("apollo")},
    **dict.fromkeys(("adamw_torch_4bit", "adamw_torch_8bit"), ("block_size", "bf16_stochastic_round")),
    **{name: ("weight_lr_power", "r") for name in OPTIMIZERS if name.startswith("schedule_free")},
}
"""What transformers reads of `optim_args`, by optimizer; of all others nothing."""
SCHEDULERS = (
    *("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"),
    *("reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", "greedy"),
)
"""transformers' SchedulerType."""
PEFT_TYPES = (
    *("adalora", "adamss", "adaption_prompt", "beft", "boft", "c3a", "deft", "delora", "fourierft", "frod", "glora", "gralora"),
    *("hira", "hra", "ia3", "lily", "ln_tuning", "loha", "lokr", "lora", "miss", "oft", "osf", "peanut", "psoft", "pvera"),
    *("randlora", "road", "shadow", "shira", "supertuning", "tinylora", "trainable_tokens", "unilora", "vblora", "vera", "waveft"),
)
"""The types of peft that train beside a model's weights, in lower case."""
NO_PEFT_TYPES = {
    **dict.fromkeys(
        ("cartridge", "cpt", "multitask_prompt_tuning", "p_tuning", "prefix_tuning", "prompt_tuning"),
        "puts tokens of its own before each row, of which neither losses nor evaluations here know",
    ),
    "poly": "needs the number of a task with every row, which no data here has",
    "xlora": "puts trained adapters together, and trains none by itself",
}
"""Those that don't apply here, and why."""
NEVER_MERGED = ("adaption_prompt", "beft", "lily", "shadow")
"""Types that peft can't merge into every model's weights."""


def _optimizer(name: str) -> str:
    return _known("optimizer", name, OPTIMIZERS)


def _scheduler(name: str) -> str:
    return _known("schedule", name, SCHEDULERS)


def _peft_type(name: str) -> str:
    name = name.lower()
    if name in NO_PEFT_TYPES:
        raise ValueError(f"`{name}` {NO_PEFT_TYPES[name]}; lora is what most people use")
    return _known("peft type", name, PEFT_TYPES)


def _known(what: str, name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise ValueError(f"there is no {what} `{name}`{did_you_mean(name, list(names)) or '; known are: ' + ', '.join(names)}")
    return name


Optimizer = Annotated[str, AfterValidator(_optimizer), WithJsonSchema({"type": "string", "enum": [*OPTIMIZERS]})]
Scheduler = Annotated[str, AfterValidator(_scheduler), WithJsonSchema({"type": "string", "enum": [*SCHEDULERS]})]
PeftType = Annotated[str, AfterValidator(_peft_type), WithJsonSchema({"type": "string", "enum": [*PEFT_TYPES]})]
