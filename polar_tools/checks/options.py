"""What the config says must be what the trainer, the optimizer, the schedule, the adapter and the model say."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from polar_tools import adapters
from polar_tools.checks import base
from polar_tools.experiment.distributing import Distributing
from polar_tools.experiment.loading import Loading
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
    read |= _adapter(trainer, trial) if config.use_peft else {}
    read["seed"] = trial.spec.seed, trainer.args.seed
    wrong = [
        f"`{name}: {_plain(wanted)}` is {_plain(found)} there"
        for name, (wanted, found) in read.items()
        if found is not Unseen.UNKNOWN and not _agree(wanted, found, _default(config, name), name in OF_THE_OPTIMIZER)
    ]
    blind = [f"`{name}`" for name, (wanted, found) in read.items() if found is Unseen.UNKNOWN and wanted != _default(config, name)]
    figure = f"{sum(found is not Unseen.UNKNOWN for _, found in read.values())} options read back"
    return base.judged(not wrong, "; ".join(wrong) or figure + (f"; no object says what became of {', '.join(blind)}" if blind else ""))


def _fields(config: Config) -> Iterator[str]:
    """Fields that decide how is trained. Those that decide on tokens have done so: what became of them is the business of `same_ids`."""
    for name, field in type(config).model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, Slice)]
        if name not in (*OF_THE_STAGE, *BY_OTHER_NAMES, *_left_open(config)) and (
            not marks or (marks[0].train and "tokenize" not in marks[0].stages)
        ):
            yield name


def _left_open(config: Config) -> Iterator[str]:
    """Fields that the config lets others decide on."""
    if config.attn_fallback:
        yield "attn_implementation"
    if config.quantization:
        yield "dtype"


def _default(config: Config, name: str) -> Any:
    field = type(config).model_fields.get(name)
    return None if field is None else field.default


def _read(name: str, trainer: Trainer) -> Any:
    """The value of a field where it is used."""
    if name in READ:
        return READ[name](trainer)
    places = [_quantized(trainer), *(vars(place) for place in (trainer.args, trainer, trainer.data_collator))]
    return next((place[name] for place in places if name in place), Unseen.UNKNOWN)


def _agree(wanted: Any, found: Any, default: Any, unless_given: bool) -> bool:
    """Whether an option is as it was wanted. What isn't given may be left to the library, and what nothing knows of must not be given."""
    if wanted is None or not (wanted or found):
        return True
    if wanted == default and (unless_given or found is None or found is Unseen.UNUSED):
        return True
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


def _learning_rate(trainer: Trainer) -> Any:
    """That of the first group. Where each layer has an optimizer of its own, the one that is seen has none of its numbers."""
    from transformers.trainer_pt_utils import LayerWiseDummyOptimizer

    if isinstance(trainer.optimizer.optimizer, LayerWiseDummyOptimizer):
        return Unseen.UNKNOWN
    group = trainer.optimizer.param_groups[0]
    return group.get("initial_lr", group.get("lr", Unseen.UNKNOWN))


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


def _quantized(trainer: Trainer) -> dict[str, Any]:
    """How the base is held; empty where it is whole."""
    return _inside(trainer).config.to_dict().get("quantization_config") or {}


def _bits(trainer: Trainer) -> Any:
    told = _quantized(trainer)
    return next((name for name, key in {"int4": "load_in_4bit", "int8": "load_in_8bit"}.items() if told.get(key)), None)


def _adapter(trainer: Trainer, trial: Trial) -> dict[str, tuple[Any, Any]]:
    """peft's settings, as the config asks for them and as they are of the adapter that is trained."""
    wanted = vars(adapters.settings(trial.config, trial.method.TASK_TYPE))
    found: dict[str, Any] = next((vars(adapted.peft_config[adapted.active_adapter]) for adapted in adapters.inside(trainer.model)), {})
    return {f"peft.{name}": (value, found.get(name)) for name, value in wanted.items() if name not in SETTLED}


def _loss(trainer: Trainer) -> Any:
    """The options of a loss from polar_tools/losses."""
    from polar_tools.losses.base import told_by

    return told_by(trainer.loss)


READ: dict[str, Callable[[Trainer], Any]] = {
    "learning_rate": _learning_rate,
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
    "loss": _loss,
    "matryoshka_dims": lambda trainer: set(vars(trainer.loss).get("matryoshka_dims", ())),
    "evaluator": lambda trainer: Unseen.UNKNOWN if trainer.evaluator is None else "auto",
    "use_peft": lambda trainer: next(adapters.inside(trainer.model), None) is not None,
    "quantization": _bits,
    "dataloader_pin_memory": lambda trainer: trainer.args.dataloader_pin_memory if trainer.args.n_gpu else Unseen.UNKNOWN,
}
"""Field -> how it is read back, where something else than the trainer's arguments uses it."""
SETTLED = ("base_model_name_or_path", "inference_mode", "target_modules", "exclude_modules", "total_step")
"""Settings of an adapter that become others once it is on a model: `all-linear` becomes names."""
OF_THE_OPTIMIZER = ("adam_beta1", "adam_beta2", "adam_epsilon")
"""Fields that optimizers who aren't Adam may have otherwise, unless they are given."""
OF_THE_STAGE = (
    *("method", "do_train", "do_eval", "is_resume", "resume_from_checkpoint", "merge_adapter", "attn_fallback"),
    *("metric_for_best_model", "early_stopping_patience", "early_stopping_threshold"),
    *("auto_find_batch_size", "save_total_limit", "extend_training", "packing_length"),
    *(name for name in Distributing.model_fields if name not in Loading.model_fields),
)
"""Fields that train, or its method, reads itself."""
BY_OTHER_NAMES = (
    *("extra_args", "peft_args", "peft_type", "lora_r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora"),
    *("target_modules", "modules_to_save"),
)
"""Fields that are looked at under the names that they have in the objects."""
