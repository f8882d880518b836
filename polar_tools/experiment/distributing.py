"""Over how many processes a training is spread, and what each of them holds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import PositiveInt, model_validator

from polar_tools.errors import ConfigError
from polar_tools.experiment.loading import Loading
from polar_tools.fields import did_you_mean

PRESETS: dict[str, dict[str, Any]] = {
    "zero1": {"stage": 1},
    "zero2": {"stage": 2, "overlap_comm": True, "contiguous_gradients": True},
    "zero2-offload": {"stage": 2, "overlap_comm": True, "contiguous_gradients": True, "offload_optimizer": {"device": "cpu"}},
    "zero3": {"stage": 3, "overlap_comm": True, "contiguous_gradients": True},
    "zero3-offload": {
        "stage": 3,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "offload_optimizer": {"device": "cpu"},
        "offload_param": {"device": "cpu"},
    },
}
"""Name -> `zero_optimization` of DeepSpeed's configuration (Rajbhandari et al. 2020)."""
SIZES = {
    "reduce_bucket_size": (1, 2, 3),
    "allgather_bucket_size": (1, 2),
    "stage3_prefetch_bucket_size": (3,),
    "stage3_param_persistence_threshold": (3,),
    "sub_group_size": (3,),
}
"""Sizes by DeepSpeed's own names, and the stages that read them."""
OPTIMIZERS = ("Adam", "AdamW")
"""What of DeepSpeed computes the same as those of SAME_OPTIMIZERS."""
SAME_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused")


class Distributing(Loading):
    """Fields of the processes. How many there are sets the batch, so all of them belong to what is trained."""

    ENGINES: ClassVar[tuple[str, ...]] = ("ddp", "deepspeed", "fsdp")
    """What a method can be trained by over several processes."""
    DIVIDES_ROWS: ClassVar[bool] = False
    """Whether several processes can train a method on parts of the same rows."""

    nodes: PositiveInt = 1
    """Machines. The same command runs on each of them; a step trains on the rows of all (docs/distributed.md)."""
    nproc_per_node: PositiveInt = 1
    """Processes a machine where `gpus: 0`, each with `threads` of its own; with GPUs there is one process for each."""
    deepspeed: str | None = None
    """DeepSpeed ZeRO, which divides among the processes what they would else all hold: zero1 the optimizer's state, zero2 the
    gradients too, zero3 the weights too; zero2-offload and zero3-offload keep in host memory what they can. Or the path of a JSON file
    of your own."""
    offload_optimizer: bool = False
    """Keep the optimizer's state in host memory; of zero2 and zero3."""
    offload_param: bool = False
    """Keep the weights in host memory; of zero3."""
    reduce_bucket_size: PositiveInt | None = None
    """Elements whose gradients are summed at a time: smaller takes less memory, larger fewer messages."""
    allgather_bucket_size: PositiveInt | None = None
    """Elements of the weights that are collected at a time after a step; of zero1 and zero2."""
    stage3_prefetch_bucket_size: PositiveInt | None = None
    """Elements of the weights that are collected ahead; of zero3."""
    stage3_param_persistence_threshold: PositiveInt | None = None
    """Weights of fewer elements are not divided; of zero3."""
    sub_group_size: PositiveInt | None = None
    """Elements that the optimizer takes at a time; of zero3."""
    fsdp: bool = False
    """Divide weights, gradients and the optimizer's state among the GPUs by PyTorch's FSDP2."""
    sequence_parallel_size: PositiveInt = 1
    """Divide the tokens of each row among so many processes, for rows whose activations don't fit on one device (Ulysses, Jacobs et al.
    2023). They train on the same rows, so that a step has so many times fewer; they share the heads of attention."""

    @property
    def processes_per_node(self) -> int:
        """One a GPU, or `nproc_per_node`."""
        return self.gpus or self.nproc_per_node

    @property
    def world_size(self) -> int:
        """The processes of all nodes."""
        return self.nodes * self.processes_per_node

    @property
    def data_parallel_size(self) -> int:
        """How many batches a step takes at a time: one a process, or for those that share rows."""
        return self.world_size // self.sequence_parallel_size

    @property
    def is_distributed(self) -> bool:
        """Whether the training has processes of its own: several, or one under DeepSpeed."""
        return self.engine is not None

    @property
    def engine(self) -> str | None:
        """What several processes train by: `ddp`, `deepspeed` or `fsdp`; None for one that trains by itself."""
        if self.deepspeed is not None:
            return "deepspeed"
        return "fsdp" if self.fsdp else "ddp" if self.world_size > 1 else None

    @property
    def own_deepspeed(self) -> str | None:
        """The path in `deepspeed`; None where that is the name of a preset, or nothing."""
        return None if self.deepspeed in PRESETS else self.deepspeed

    @property
    def zero(self) -> dict[str, Any]:
        """`zero_optimization` of DeepSpeed's configuration; empty without one. Raises ConfigError for a file that is none."""
        if self.deepspeed is None:
            return {}
        if self.own_deepspeed is not None:
            found: dict[str, Any] = _read(self.own_deepspeed).get("zero_optimization", {})
            return found
        offload = [name for name in ("offload_optimizer", "offload_param") if getattr(self, name)]
        sizes = {name: size for name in SIZES if (size := getattr(self, name)) is not None}
        return {**PRESETS[self.deepspeed], **{name: {"device": "cpu"} for name in offload}, **sizes}

    @model_validator(mode="after")
    def _processes_are_of_one_kind(self) -> Self:
        self._needs(["nproc_per_node"], self.gpus == 0, "`gpus: 0`: there is a process for each GPU")
        if self.fsdp and self.gpus == 0:
            raise ValueError("fsdp: runs on GPUs only (`gpus: 2`); on a CPU take `deepspeed: zero3`, which divides the same")
        if self.fsdp and self.world_size == 1:
            raise ValueError("fsdp: there is nothing to divide in one process; set `gpus: 2` or more, or `nodes`")
        if self.fsdp and self.deepspeed is not None:
            raise ValueError("fsdp: choose either fsdp or deepspeed")
        return self

    @model_validator(mode="after")
    def _rows_can_be_divided(self) -> Self:
        size, kernel = self.sequence_parallel_size, self.attn_implementation
        if size > 1 and self.world_size % size:
            raise ValueError(
                f"sequence_parallel_size: {size} processes are to share rows, but there {'is' if self.world_size == 1 else 'are'} "
                f"{self.world_size}; set `gpus` (or, on a CPU, `nproc_per_node`) to {size} or a multiple of it"
            )
        if size > 1 and kernel == "eager":
            raise ValueError(
                "attn_implementation: eager attention can't be divided by `sequence_parallel_size`; sdpa can, or flash_attention_2"
            )
        return self

    @model_validator(mode="after")
    def _deepspeed_reads_what_it_is_given(self) -> Self:
        name, sizes = self.deepspeed, [*SIZES]
        if name is not None and name not in PRESETS and not name.endswith(".json"):
            hint = did_you_mean(name, [*PRESETS]) or f"; there are {', '.join(PRESETS)}, or a path that ends with .json"
            raise ValueError(f"deepspeed: there is no preset `{name}`{hint}")
        preset = PRESETS.get(name or "")
        self._needs(["offload_optimizer", "offload_param", *sizes], preset is not None, f"`deepspeed: {' or '.join(PRESETS)}`")
        if preset is None:
            return self
        self._needs(["offload_optimizer"], preset["stage"] > 1, "`deepspeed: zero2` or zero3")
        self._needs(["offload_param"], preset["stage"] == 3, "`deepspeed: zero3`")
        for size in sizes:
            of = " or ".join(f"zero{stage}" for stage in SIZES[size])
            self._needs([size], preset["stage"] in SIZES[size], f"`deepspeed: {of}`")
        return self


def settings(config: Any) -> dict[str, Any]:
    """DeepSpeed's whole configuration for an experiment, with nothing left `auto` that the experiment says."""
    own = {} if config.own_deepspeed is None else _read(config.own_deepspeed)
    made = _joined(own, _wanted(config, own, config.world_size))  # it counts each process, also of those that share rows
    made["zero_optimization"] = dict(config.zero)
    if config.zero.get("stage") == 3:  # else nothing could be saved but the parts
        made["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] = True
    return {"steps_per_print": 10**9, "zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False, **made}


def refuse_contradiction(config: Any) -> None:
    """Raise ConfigError for a configuration of DeepSpeed of one's own that can't be read, or says something else than the experiment."""
    if (file := config.own_deepspeed) is None:
        return
    own = _read(file)
    if "scheduler" in own:
        raise ConfigError(f"deepspeed: {file} has a `scheduler`; leave it out, for `lr_scheduler_type` and `warmup_steps` say it")
    kind = own.get("optimizer", {}).get("type")
    if "optimizer" in own and (kind not in OPTIMIZERS or config.optim not in SAME_OPTIMIZERS):
        raise ConfigError(f"deepspeed: {file} says `optimizer.type`: {kind}, the experiment says `optim`: {config.optim}")
    wrong = [
        f"deepspeed: {file} says `{place}`: {json.dumps(there)}, the experiment says `{FIELDS[place]}`: {json.dumps(ours)}"
        for place, ours in _leaves(_wanted(config, own, config.data_parallel_size))
        if (there := _at(own, place)) not in (None, "auto", ours)
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))


def _wanted(config: Any, own: dict[str, Any], processes: int) -> dict[str, Any]:
    """What the fields of an experiment say, by DeepSpeed's names, over so many processes; of an optimizer only where `own` has one."""
    rows, batches = config.per_device_train_batch_size, config.gradient_accumulation_steps
    wanted = {
        "train_micro_batch_size_per_gpu": rows,
        "gradient_accumulation_steps": batches,
        "train_batch_size": rows * batches * processes,
        "gradient_clipping": config.max_grad_norm,
        "bf16": {"enabled": config.bf16},
        "fp16": {"enabled": config.fp16},
    }
    if "optimizer" not in own:
        return wanted
    betas = [config.adam_beta1, config.adam_beta2]
    return {
        **wanted,
        "optimizer": {
            "params": {"lr": config.learning_rate, "betas": betas, "eps": config.adam_epsilon, "weight_decay": config.weight_decay}
        },
    }


FIELDS = {
    "train_micro_batch_size_per_gpu": "per_device_train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "train_batch_size": "per_device_train_batch_size x gradient_accumulation_steps x processes",
    "gradient_clipping": "max_grad_norm",
    "bf16.enabled": "bf16",
    "fp16.enabled": "fp16",
    "optimizer.params.lr": "learning_rate",
    "optimizer.params.betas": "adam_beta1 and adam_beta2",
    "optimizer.params.eps": "adam_epsilon",
    "optimizer.params.weight_decay": "weight_decay",
}
"""A place in DeepSpeed's configuration -> the fields that decide it."""


def _leaves(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a tree of mappings with its place, names with dots between them."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def _at(tree: dict[str, Any], place: str) -> Any:
    """The value at a place, or None."""
    first, _, rest = place.partition(".")
    below = tree.get(first)
    return _at(below, rest) if rest and isinstance(below, dict) else None if rest else below


def _joined(own: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """`own` with the values of `wanted` in it."""
    below = {name: _joined(own.get(name, {}), value) if isinstance(value, dict) else value for name, value in wanted.items()}
    return {**own, **below}


def _read(file: str) -> dict[str, Any]:
    """The mapping in a JSON file."""
    try:
        found = json.loads(Path(file).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"deepspeed: there is no {file} (looked for in {Path.cwd()})") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"deepspeed: {file} can't be read as JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("zero_optimization", {}), dict):
        raise ConfigError(f"deepspeed: {file} is no configuration of DeepSpeed: a mapping, with a mapping in `zero_optimization`")
    return found
