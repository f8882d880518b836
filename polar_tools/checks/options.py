"""What the config says must be what the trainer, the optimizer, the schedule, the adapter and the model say."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from polar_tools.checks import base
from polar_tools.fields import Slice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from transformers import Trainer

    from polar_tools.methods.base import Config
    from polar_tools.training.trial import Trial

TITLE = "every option reaches the object that uses it"
MEANS = (
    "an option of the config has no effect, or another than it says: the method's `build_trainer` doesn't hand it on, or what would use it "
    "knows no such option. Look for it in the method's file, leave it out, or give the library's own in `extra_args`"
)


class Unseen(Enum):
    """What there is instead of a value."""

    UNUSED = "nothing"
    """The object that should use an option doesn't know of it."""
    UNKNOWN = "unknown"
    """Nobody told this file who uses it."""


def run(trial: Trial) -> base.Outcome:
    """Every field that train sees, as it is right before the first batch in the object that uses it."""
    config, trainer = trial.config, trial.begun()
    read = {name: (getattr(config, name), _read(name, trainer)) for name in _fields(config)}
    read |= {f"extra_args.{name}": (value, vars(trainer.args)[name]) for name, value in config.extra_args.items()}
    read["seed"] = trial.spec.seed, trainer.args.seed
    wrong = [
        f"`{name}: {_plain(wanted)}` is {_plain(found)} there"
        for name, (wanted, found) in read.items()
        if found is not Unseen.UNKNOWN and not _agree(wanted, found, _default(config, name))
    ]
    blind = [f"`{name}`" for name, (wanted, found) in read.items() if found is Unseen.UNKNOWN and wanted != _default(config, name)]
    figure = f"{sum(found is not Unseen.UNKNOWN for _, found in read.values())} options read back"
    return base.judged(not wrong, "; ".join(wrong) or figure + (f"; no object says what became of {', '.join(blind)}" if blind else ""))


def _fields(config: Config) -> Iterator[str]:
    """Fields that decide how is trained. Those that decide on tokens have done so: what became of them is the business of `same_ids`."""
    for name, field in type(config).model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, Slice)]
        if name not in OF_THE_STAGE and (not marks or (marks[0].train and "tokenize" not in marks[0].stages)):
            yield name


def _default(config: Config, name: str) -> Any:
    field = type(config).model_fields.get(name)
    return None if field is None else field.default


def _read(name: str, trainer: Trainer) -> Any:
    """The value of a field where it is used."""
    if name in READ:
        return READ[name](trainer)
    if name in OF_ADAPTER:
        return _of_adapter(trainer, OF_ADAPTER[name])
    places = [vars(place) for place in (trainer.args, trainer, trainer.data_collator)]
    return next((place[name] for place in places if name in place), Unseen.UNKNOWN)


def _agree(wanted: Any, found: Any, default: Any) -> bool:
    """Whether an option is as it was wanted: what isn't given is left to the library, and what nothing knows of must not be given."""
    if wanted is None or not (wanted or found):
        return True
    if found is None or found is Unseen.UNUSED:
        return bool(wanted == default)
    return set(wanted) == found if isinstance(found, set | frozenset) else bool(_plain(wanted) == _plain(found))


def _plain(value: Any) -> Any:
    """A value without what makes no difference: a name is as good as its enumeration, one thing as a list of it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return _plain(value[0]) if len(value) == 1 else [_plain(item) for item in value]
    return value


def _group(key: str, place: int | None = None) -> Callable[[Trainer], Any]:
    """Reads an option of the optimizer, or a part of it, from its first group of weights."""

    def read(trainer: Trainer) -> Any:
        group = trainer.optimizer.param_groups[0]
        return Unseen.UNUSED if key not in group else group[key] if place is None else group[key][place]

    return read


def _weight_decay(trainer: Trainer) -> Any:
    """Norms and biases don't decay."""
    return max((group["weight_decay"] for group in trainer.optimizer.param_groups if "weight_decay" in group), default=Unseen.UNUSED)


def _optimizer(trainer: Trainer) -> Any:
    """The option itself where the optimizer is of its class, else the class."""
    wanted, _ = trainer.get_optimizer_cls_and_kwargs(trainer.args, trainer.model)
    used = trainer.optimizer.optimizer
    return trainer.args.optim if not isinstance(wanted, type) or isinstance(used, wanted) else type(used).__name__


def _schedule(trainer: Trainer) -> Any:
    """The option itself where the schedule is that of its name, else what it is."""
    import torch
    from transformers import get_scheduler

    args, steps, used = trainer.args, trainer.state.max_steps, trainer.lr_scheduler
    other = torch.optim.SGD([torch.zeros(1)], lr=args.learning_rate)
    named = get_scheduler(args.lr_scheduler_type, other, args.get_warmup_steps(steps), steps, args.lr_scheduler_kwargs)
    same = type(named) is type(used) and _curve(named, steps) == _curve(used, steps)
    return args.lr_scheduler_type if same else f"another {type(used).__name__}"


def _curve(schedule: Any, steps: int) -> list[float]:
    """A few points of a schedule that is a function of the step."""
    from torch.optim.lr_scheduler import LambdaLR

    places = range(0, steps, max(1, steps // 10))
    return [float(schedule.lr_lambdas[0](place)) for place in places] if isinstance(schedule, LambdaLR) else []


def _weights(trainer: Trainer) -> nn.Parameter:
    """The largest lot of weights: an adapter may be of another type."""
    return max((weight for weight in trainer.model.parameters() if weight.is_floating_point()), key=lambda weight: weight.numel())


def _inside(trainer: Trainer) -> Any:
    """transformers' model, which may be within others'."""
    from transformers import PreTrainedModel

    return next(module for module in trainer.model.modules() if isinstance(module, PreTrainedModel))


def _threads(trainer: Trainer) -> Any:
    import torch

    return torch.get_num_threads()


def _adapter(trainer: Trainer) -> Any:
    """peft's settings of the adapter that is trained; None without one."""
    from peft import PeftModel

    inside = next((module for module in trainer.model.modules() if isinstance(module, PeftModel)), None)
    return None if inside is None else inside.peft_config[inside.active_adapter]


def _of_adapter(trainer: Trainer, name: str) -> Any:
    settings = _adapter(trainer)
    return Unseen.UNUSED if settings is None else vars(settings).get(name, Unseen.UNUSED)


READ: dict[str, Callable[[Trainer], Any]] = {
    "learning_rate": _group("initial_lr"),
    "weight_decay": _weight_decay,
    "adam_beta1": _group("betas", 0),
    "adam_beta2": _group("betas", 1),
    "adam_epsilon": _group("eps"),
    "optim": _optimizer,
    "lr_scheduler_type": _schedule,
    "dtype": lambda trainer: str(_weights(trainer).dtype).removeprefix("torch."),
    "attn_implementation": lambda trainer: _inside(trainer).config._attn_implementation,
    "activation_checkpointing": lambda trainer: _inside(trainer).is_activation_checkpointing,
    "threads": _threads,
    "gpus": lambda trainer: trainer.args.n_gpu,
    "bf16": lambda trainer: trainer.accelerator.mixed_precision == "bf16",
    "fp16": lambda trainer: trainer.accelerator.mixed_precision == "fp16",
    "use_peft": lambda trainer: _adapter(trainer) is not None,
    "peft_type": lambda trainer: Unseen.UNUSED if (settings := _adapter(trainer)) is None else settings.peft_type.value.lower(),
}
"""Field -> how it is read back, where something else than the trainer's arguments uses it."""
OF_ADAPTER = {
    "lora_r": "r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
    "modules_to_save": "modules_to_save",
    "lora_modules_to_save": "modules_to_save",
}
"""Field -> its name in the settings of peft's adapter."""
OF_THE_STAGE = ("method", "extra_args", "do_train", "do_eval", "merge_adapter")
"""Fields that train reads itself, or that are looked at one by one."""
