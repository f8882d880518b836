"""Whether a plan fits what there is, and what to change where it doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from polar_tools.estimates import changes
from polar_tools.estimates.amounts import shown_memory
from polar_tools.estimates.planned import Estimate, Planned
from polar_tools.methods.base import Config as Experiment
from polar_tools.specs import ExperimentSpec, TrainSpec


def memory(planned: Planned, limit: float) -> list[str]:
    """What of the plan needs more than `limit` MiB on a device, or may; empty where all fits."""
    problems, seen = [], set()
    for one in planned.pending:
        spec = planned.plan.artifacts[one.path].spec
        if not isinstance(spec, ExperimentSpec) or one.stage == "tokenize":
            continue
        name = f"{one.path.split('/')[1]} {one.stage}"
        if name in seen:
            continue  # seeds differ in nothing that takes memory
        seen.add(name)
        if one.device is None:
            problems.append(f"{one.path}: it can't be told whether it fits: memory is {_reason(one)}")
        elif one.device.total > limit:
            problems.append("\n".join(_too_large(planned, one, spec, limit)))
    return problems


def _reason(one: Estimate) -> str:
    reason = one.unknown.get("needs", "unknown")
    return reason if reason.startswith("unknown") else f"unknown: {reason}"


def _too_large(planned: Planned, one: Estimate, spec: ExperimentSpec, limit: float) -> Iterator[str]:
    needed = one.device.total if one.device else 0.0
    yield f"{one.path} needs {shown_memory(needed)} on {'each device' if one.gpus > 1 else 'its device'}, more than {shown_memory(limit)}"
    if not isinstance(spec, TrainSpec):
        yield "  nothing that could be changed in a training changes this"
        return
    found = changes.fitting(partial(planned.of, one.path), planned.experiment(one.path, spec), _on_device, limit)
    for change in found:
        fits = shown_memory(change.estimate.device.total) if change.estimate.device else ""
        yield f"  it would fit with {change}  ({fits})"
    if not found:
        yield "  no change of checkpointing, batch, ZeRO stage, adapter or length would make it fit, nor two of them together"


def _on_device(one: Estimate) -> float | None:
    return None if one.device is None else one.device.total


def budget(planned: Planned, hours: float) -> list[str]:
    """Why the plan may take more than `hours` of GPUs; empty where it doesn't."""
    unknown = [one for one in planned.pending if one.gpu_hours is None]
    if unknown:
        reason = unknown[0].unknown.get("seconds", "")
        return [f"{unknown[0].path}: it can't be told what it takes of the budget: {reason}"]
    total = sum(one.gpu_hours or 0.0 for one in planned.pending)
    if total <= hours:
        return []
    lines = [f"the plan takes {total:.1f} GPU hours, more than {hours:g}"]
    lines += [f"  it would fit with {text}" for text in _shorter(planned, total, hours)]
    if len(lines) == 1:
        lines.append("  no one experiment could be made short enough: leave some out")
    return ["\n".join(lines)]


def _shorter(planned: Planned, total: float, hours: float) -> Iterator[str]:
    """Experiments that, with fewer steps or an adapter, would bring the plan within `hours`."""
    for name, runs in sorted(_trainings(planned).items(), key=lambda item: -sum(one.gpu_hours or 0.0 for one in item[1])):
        own = sum(one.gpu_hours or 0.0 for one in runs)
        spec = planned.plan.artifacts[runs[0].path].spec
        if isinstance(spec, TrainSpec):
            config = planned.experiment(runs[0].path, spec)
            for fields in _savings(config, own, total, hours):
                try:
                    changed = type(config).model_validate({**config.model_dump(exclude_defaults=True), **fields})
                except ValueError:
                    continue
                found = sum(planned.of(one.path, changed).gpu_hours or 0.0 for one in runs)
                if total - own + found <= hours:
                    said = ", ".join(f"{field}: {str(value).lower()}" for field, value in fields.items())
                    yield f"experiments.{name}: {said}  ({total - own + found:.1f} GPU hours)"
                    break


def _savings(config: Experiment, own: float, total: float, hours: float) -> Iterator[dict[str, object]]:
    """Fields that would save time, those first that leave most as it is."""
    if config.activation_checkpointing:
        yield {"activation_checkpointing": False, "activation_checkpointing_kwargs": {}}
    if not config.use_peft:
        yield {"use_peft": True}
    share = (hours - (total - own)) / own
    for part in (0.95, 0.75, 0.5):
        steps = config.max_steps * share * part if config.max_steps > 0 else 0
        if steps >= 1:
            yield {"max_steps": int(steps)}
        elif config.max_steps <= 0 and share > 0:
            yield {"num_train_epochs": float(f"{config.num_train_epochs * share * part:.2g}")}


def _trainings(planned: Planned) -> dict[str, list[Estimate]]:
    found: dict[str, list[Estimate]] = {}
    for one in planned.pending:
        if one.stage == "train" and one.gpus:
            found.setdefault(one.path.split("/")[1], []).append(one)
    return found
