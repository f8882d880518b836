"""Memory of a training: what is held in its fullest moment, part by part."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from polar_tools import discovery
from polar_tools.estimates import batch as batches
from polar_tools.estimates import trained
from polar_tools.estimates.amounts import MIB
from polar_tools.estimates.architecture import Architecture
from polar_tools.estimates.batch import Batch, Kept
from polar_tools.estimates.rows import Rows
from polar_tools.estimates.sharding import Sharding

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

LIBRARIES = 600.0
"""MiB of Python with torch, transformers, trl and peft once a trainer was made (torch 2.13 for CPUs, transformers 5.23)."""
CUDA = 600.0
"""MiB of a device that CUDA's own code and buffers take."""
LOOKED_AT, SHORT = 8, 64
"""Rows of a preflight, and tokens of those that it would rather take (training/trial.py)."""
MAPPED = 32 * MIB
"""glibc gives larger blocks back at once (DEFAULT_MMAP_THRESHOLD_MAX); smaller ones leave holes that others don't fill."""
HOLES = {"full": 0.37, "checkpointed": 0.55, "adapter": 1.15, "fused": 0.2}
"""What such holes come to, as a share of what the layers keep in small blocks. Fitted on the jobs of CALIBRATION in bench/memory.py.

HELD is held in any case. Gradients that come to lie in what recomputed layers left, and small outputs of adapters in what
their layers left, make most; of adapters that are one step with their layer (training/fused_lora.py) there are none such.
"""
HELD = 60 * MIB
RETAINED = 0.6
"""What of small activations the allocator keeps when they are gone: a share of what a step keeps."""
UNFILLED = 0.9
"""What stays of a preflight's gradients where no optimizer's memory takes their place."""
WORKING = 0.2
"""What the backward pass of a layer holds besides, as a share of what the layer kept."""
SPARE_ON_GPU = 0.05
"""The same of torch's own allocator on GPUs, as a share of what it hands out."""


@dataclass(frozen=True)
class Memory:
    """MiB of each part, in the fullest moment."""

    libraries: float = 0.0
    weights: float = 0.0
    reference: float = 0.0
    """Models that aren't trained: a reference."""
    gradients: float = 0.0
    optimizer: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    cache: float = 0.0
    """Keys and values, while the model writes."""
    slack: float = 0.0
    """What the allocator holds beyond all this."""
    correction: float = 0.0
    """What past runs measured beyond the formulas, or below them."""

    @property
    def total(self) -> float:
        """All parts."""
        return sum(self.as_dict().values())

    def as_dict(self) -> dict[str, float]:
        """Part -> MiB."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Needs:
    """What a training needs on each device, and in the memory of each node, which on a CPU is the same."""

    device: Memory
    host: float
    """MiB."""


@dataclass(frozen=True)
class _State:
    """Bytes on a device that don't depend on the batch."""

    whole: float
    """All weights, on whatever devices they are."""
    weights: float
    reference: float
    gradients: float
    optimizer: float
    head: float
    """The gradient of the language model's head."""
    largest: float
    """The largest weight that is trained."""
    moved: float
    """MiB of a node's memory that hold what was moved there from devices."""


def needs(config: Config, model: Architecture, rows: Rows, sharding: Sharding, preflight: bool = True) -> Needs:
    """What the training of `config` needs; raises UnknownError for what can't be known."""
    state = _state(config, model, sharding)
    batch = batches.largest(config, rows, config.per_device_train_batch_size)
    moments = _steps(config, model, batch, state)
    moments.append(_update(config, state, batches.layers(config, model, batch)))
    if config.method in batches.WRITING:
        moments.append(_writing(config, model, rows, state))
    if preflight:  # in one process, which divides nothing
        alone = _state(config, model, Sharding())
        moments = [_plus(moment, slack=_left_behind(config, alone)) for moment in moments]
        moments += _preflight(config, model, rows, alone)
    fullest = max(moments, key=lambda memory: memory.total)
    if config.gpus == 0:
        device = _plus(fullest, libraries=LIBRARIES)
        return Needs(device, device.total * sharding.here + state.moved)
    device = _plus(fullest, libraries=CUDA, slack=SPARE_ON_GPU * fullest.total)
    waiting = batches.layers(config, model, batch).moved / MIB
    return Needs(device, (LIBRARIES + state.whole / MIB + waiting) * sharding.here + state.moved)


def _state(config: Config, model: Architecture, sharding: Sharding) -> _State:
    """What each device holds whatever the batch is."""
    language = batches.has_language_head(config)
    whole, width, number = trained.weights(config, model, language), trained.width(config), trained.number(config, model, language)
    optimizer = trained.states(config, number * width)
    if sharding.stage and (width < 4 or config.bf16 or config.fp16):  # DeepSpeed's own mixed precision
        whole, width, optimizer = whole * 2 / trained.TYPE[config.dtype], 2.0, trained.states(config, number * 4) + number * 4
    largest = 0.0 if config.use_peft else model.words * model.hidden * width
    return _State(
        whole=whole,
        weights=sharding.weights(whole),
        reference=sharding.weights(_reference(config, whole)),
        gradients=sharding.gradients(number * width),
        optimizer=sharding.optimizer(optimizer),
        head=0.0 if batches.head(config) == "none" else largest,
        largest=largest,
        moved=sharding.on_host(whole, number * width, optimizer) / MIB,
    )


def _reference(config: Config, whole: float) -> float:
    """Bytes of a reference model of its own. With an adapter it is the trained model without it."""
    told = config.model_dump(include={"ref_model", "precompute_ref_log_probs", "beta"})
    if config.method not in batches.WITH_REFERENCE or (config.method == "grpo" and not told["beta"]):
        return 0.0
    if told.get("ref_model") is not None:
        return whole
    return 0.0 if config.use_peft or told.get("precompute_ref_log_probs") else whole


def _steps(config: Config, model: Architecture, batch: Batch, state: _State) -> list[Memory]:
    """Where the forward pass ends: all activations, and the head's logits. Under checkpointing also where a layer is computed again."""
    kept, head = batches.layers(config, model, batch), batches.logits(config, model, batch)
    slack = 0.0 if config.gpus else _holes(config, kept) / MIB
    held = state.gradients if config.gradient_accumulation_steps > 1 else 0.0
    forward = max(held, min(state.head, state.gradients))
    if not config.activation_checkpointing:
        whole = _of(state, gradients=forward, activations=kept.whole + WORKING * kept.layer, logits=head)
        return [_plus(whole, slack=slack)]
    again = _of(state, gradients=state.gradients, activations=kept.inputs + (1 + WORKING) * kept.layer)
    return [_plus(moment, slack=slack) for moment in (_of(state, gradients=forward, activations=kept.inputs, logits=head), again)]


def _holes(config: Config, kept: Kept) -> float:
    """Bytes that the C library's allocator holds and nobody uses."""
    adapter = "fused" if _is_fused(config) else "adapter"
    kind = adapter if config.use_peft else "checkpointed" if config.activation_checkpointing else "full"
    return HELD + HOLES[kind] * sum(count * size for count, size in kept.blocks if size < MAPPED)


def _is_fused(config: Config) -> bool:
    """Whether an adapter is one step with its layer, as training/fused_lora.py looks at it."""
    plain = config.peft_type == "lora" and not (config.lora_dropout or config.use_dora or config.quantization)
    return plain and config.dtype == "float32" and not (config.bf16 or config.fp16) and config.engine in (None, "ddp")


def _update(config: Config, state: _State, kept: Kept) -> Memory:
    """The optimizer's step: all gradients, what is computed of the largest weight, and what the layers' activations left behind."""
    memory = _of(state, gradients=state.gradients, activations=trained.computed(config, state.largest))
    left = RETAINED * sum(count * size for count, size in kept.blocks if size < MAPPED)
    return memory if config.gpus else _plus(memory, slack=(HELD + left) / MIB)


def _preflight(config: Config, model: Architecture, rows: Rows, state: _State) -> list[Memory]:
    """The preflight's fullest moments: a forward pass of all its rows, and two gradients that are compared, of half as many."""
    moments = [(LOOKED_AT, 0.0)]
    if "accumulation" in discovery.load("methods", config.method).CHECKS:
        moments.append((LOOKED_AT // 2, 2.0))
    return [_looking(config, model, rows, state, count, gradients) for count, gradients in moments]


def _left_behind(config: Config, state: _State) -> float:
    """MiB that a preflight's two gradients leave to the training, and that its optimizer's memory doesn't come to fill."""
    if config.gpus or "accumulation" not in discovery.load("methods", config.method).CHECKS:
        return 0.0
    return UNFILLED * max(0.0, 2 * state.gradients - state.optimizer) / MIB


def _looking(config: Config, model: Architecture, rows: Rows, state: _State, count: int, gradients: float) -> Memory:
    """A preflight's step on so many rows."""
    length = min(rows.longest, max(SHORT, rows.shortest))
    sequences = count * (2 if config.method in batches.PAIRED else 1)
    share = min(1.0, rows.trained_mean / max(rows.mean, 1.0))
    batch = Batch(count, sequences, length, length, int(sequences * length * share), True)
    kept = batches.layers(config, model, batch)
    layers = kept.inputs + kept.layer if config.activation_checkpointing else kept.whole
    head = batches.logits(config, model, batch, backward=gradients > 0)
    memory = _of(state, optimizer=0.0, gradients=gradients * state.gradients, activations=layers, logits=head)
    slack = _holes(config, kept) if config.use_peft else HELD  # a pass or two leaves few holes, but for those of adapters
    return memory if config.gpus else _plus(memory, slack=slack / MIB)


def _writing(config: Config, model: Architecture, rows: Rows, state: _State) -> Memory:
    """While the model writes: no gradients, but keys and values of all completions."""
    width = trained.TYPE[config.dtype]
    cache = batches.cache(config, model, rows) * width
    told = config.model_dump(include={"steps_per_generation"})
    writers = config.per_device_train_batch_size * (told.get("steps_per_generation") or config.gradient_accumulation_steps)
    memory = _of(state, gradients=0.0, logits=4.0 * writers * model.words * 4)
    return _plus(memory, cache=cache / MIB, slack=0.0 if config.gpus else cache / MIB)  # a token more makes each cache anew


def _of(state: _State, optimizer: float | None = None, gradients: float = 0.0, activations: float = 0.0, logits: float = 0.0) -> Memory:
    return Memory(
        weights=state.weights / MIB,
        reference=state.reference / MIB,
        optimizer=(state.optimizer if optimizer is None else optimizer) / MIB,
        gradients=gradients / MIB,
        activations=activations / MIB,
        logits=logits / MIB,
    )


def _plus(memory: Memory, **more: float) -> Memory:
    parts = memory.as_dict()
    return Memory(**{name: size + more.get(name, 0.0) for name, size in parts.items()})
