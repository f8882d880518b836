"""How weights are changed."""

from typing import Annotated, Self

from pydantic import Field, JsonValue, NonNegativeFloat, PositiveFloat, model_validator

from polar_tools.experiment.names import OPTIM_ARGS, WITHOUT_ADAM, Optimizer, Scheduler
from polar_tools.experiment.topic import Topic
from polar_tools.fields import did_you_mean

Decay = Annotated[NonNegativeFloat, Field(lt=1)]


class Optimizing(Topic):
    """Fields of the optimizer, its schedule, and precision."""

    learning_rate: PositiveFloat = 5e-5
    """Peak learning rate."""
    lr_scheduler_type: Scheduler = "linear"
    """Schedule by transformers' name."""
    lr_scheduler_kwargs: dict[str, JsonValue] = {}
    """Further arguments of the schedule, such as `num_cycles`."""
    warmup_steps: NonNegativeFloat = 0
    """Steps of warm-up; below 1 a share of all steps."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    max_grad_norm: NonNegativeFloat = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    optim: Optimizer = "adamw_torch"
    """Optimizer by transformers' name."""
    optim_args: str | None = None
    """Further arguments of the optimizer, as `name=value,name=value`."""
    adam_beta1: Decay = 0.9
    """Decay of Adam's mean of the gradients."""
    adam_beta2: Decay = 0.999
    """Decay of Adam's mean of their squares."""
    adam_epsilon: PositiveFloat = 1e-8
    """Keeps Adam from dividing by zero."""
    label_smoothing_factor: Annotated[NonNegativeFloat, Field(lt=1)] = 0.0
    """Share of the target that is spread over all classes or tokens, for methods whose loss transformers' Trainer computes."""
    bf16: bool = False
    """bfloat16 autocast while training, on GPUs and CPUs."""
    fp16: bool = False
    """float16 autocast with loss scaling, GPUs only."""
    activation_checkpointing: bool = False
    """Trade time for memory by recomputing activations."""
    activation_checkpointing_kwargs: dict[str, JsonValue] = {}
    """Arguments of it, such as `use_reentrant` or `every_n_layers`."""
    activation_offloading: bool = False
    """Keep activations in the host's memory between the forward and the backward pass, GPUs only."""
    tiled_mlp_num_shards: Annotated[int, Field(ge=2)] | None = None
    """Run each feed-forward layer on so many slices of a row, one after another, where a layer's activations for all of it don't fit."""

    @model_validator(mode="after")
    def _one_precision(self) -> Self:
        if self.bf16 and self.fp16:
            raise ValueError("bf16: choose either bf16 or fp16")
        self._needs(["activation_checkpointing_kwargs"], self.activation_checkpointing, "`activation_checkpointing: true`")
        return self

    @model_validator(mode="after")
    def _optimizer_reads_what_it_is_given(self) -> Self:
        self._needs(["adam_beta1", "adam_beta2", "adam_epsilon"], self.optim not in WITHOUT_ADAM, f"another `optim` than {self.optim}")
        read = OPTIM_ARGS.get(self.optim, ())
        self._needs(["optim_args"], bool(read), f"another `optim` than {self.optim}")
        for name in (part.partition("=")[0].strip() for part in (self.optim_args or "").split(",") if part):
            if name not in read:
                hint = did_you_mean(name, list(read)) or f"; it has {', '.join(read)}"
                raise ValueError(f"optim_args: {self.optim} has no argument `{name}`{hint}")
        return self
