"""What each artifact of a plan will need, with the reasons where that can't be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from polar_tools import artifact, auto_preset, storage
from polar_tools.estimates import activations, architecture, disk, inference, sharding, training, work
from polar_tools.estimates import rows as counted
from polar_tools.estimates.amounts import UnknownError
from polar_tools.estimates.architecture import Architecture
from polar_tools.estimates.history import History
from polar_tools.estimates.rows import Rows
from polar_tools.estimates.training import Memory, Needs
from polar_tools.fields import payload_of
from polar_tools.methods.base import Config as Experiment
from polar_tools.plan import Plan
from polar_tools.specs import ConvertSpec, EvaluateSpec, ExperimentSpec, HarnessSpec, MirrorSpec, RankSpec, Spec, TokenizeSpec, TrainSpec

LESS = ("activation_offloading", "tiled_mlp_num_shards")
"""Fields that save memory in a way for which there is no formula yet."""


@dataclass
class Estimate:
    """What an artifact needs; what isn't known has its reason in `unknown` instead."""

    path: str
    stage: str
    method: str | None = None
    gpus: int = 0
    """On all nodes."""
    needs: Needs | None = None
    host_mb: float | None = None
    """Of stages that run no model; `host` tells it of all."""
    disk_mb: float | None = None
    tokens: float | None = None
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)

    @property
    def device(self) -> Memory | None:
        """Memory on each device, part by part; that of a CPU is the host's."""
        return None if self.needs is None else self.needs.device

    @property
    def host(self) -> float | None:
        """MiB of a node's memory."""
        return self.host_mb if self.needs is None else self.needs.host

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all GPUs together."""
        return 0.0 if not self.gpus else None if self.seconds is None else self.seconds / 3600 * self.gpus

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        memory = None if self.device is None else {**self.device.as_dict(), "total": self.device.total}
        same = ("path", "stage", "method", "gpus", "disk_mb", "tokens", "seconds", "notes", "unknown")
        figures = {name: getattr(self, name) for name in same}
        return {**figures, "device_mb": memory, "host_mb": self.host, "gpu_hours": self.gpu_hours}

    def set(self, name: str, figure: Callable[[], Any]) -> None:
        """Fill the figure `name`, or say why it is unknown."""
        try:
            setattr(self, name, figure())
        except UnknownError as reason:
            self.unknown[name] = str(reason)


class Planned:
    """Estimates of a plan's artifacts, corrected by what lies in the working directory."""

    def __init__(self, plan: Plan, device_speed: float | None = None) -> None:
        self.plan = plan
        self.states = plan.states()
        self.history = History(device_speed=device_speed)

    @cached_property
    def pending(self) -> list[Estimate]:
        """Of every artifact that is to be made."""
        return [self.of(path) for path, state in self.states.items() if state == "to make"]

    def of(self, path: str, experiment: Experiment | None = None) -> Estimate:
        """Of one artifact; `experiment` takes the place of the one in its spec."""
        spec = self.plan.artifacts[path].spec
        if isinstance(spec, ExperimentSpec):
            spec = spec.model_copy(update={"experiment": experiment or self.experiment(path, spec)})
        found = Estimate(path, spec.stage)
        if isinstance(spec, TrainSpec):
            if spec.left_to_rows and auto_preset.chosen(spec) is None:
                found.notes.append("preset auto chooses once the rows are tokens; counted as if it filled nothing")
            self._training(found, auto_preset.settled(spec))
        elif isinstance(spec, EvaluateSpec | RankSpec) and not isinstance(spec, HarnessSpec):
            self._measuring(found, spec)
        else:
            self._other(found, spec)
        return found

    def experiment(self, path: str, spec: ExperimentSpec) -> Experiment:
        """The experiment in a spec, with what only the plan reads."""
        told = self.plan.config.experiments.get(path.split("/")[1])
        return spec.experiment if told is None else spec.experiment.model_copy(update={"preflight": told.preflight})

    def model(self, payload: str) -> Architecture:
        """The architecture of the model in a payload, which may not be there yet; raises UnknownError where nothing tells it."""
        path = payload_of(payload)
        made = self.plan.artifacts.get(path)
        if made is None or self.states.get(path) == "done":
            return architecture.read(Path(payload))
        if isinstance(made.spec, TrainSpec):
            return self.model(made.spec.experiment.model)
        if isinstance(made.spec, MirrorSpec):
            return _in_source(made.spec)
        if isinstance(made.spec, ConvertSpec) and made.spec.gguf_file is None and made.spec.decoder_name is None:
            return self.model(made.spec.config_name or made.spec.model)
        raise UnknownError("unknown until the model is converted")

    def rows(self, config: Experiment, tokenizer: str, model: Architecture) -> Rows:
        """The rows that are trained on; raises UnknownError where nothing tells of them yet."""
        tokenized, prepared = payload_of(tokenizer), payload_of(config.dataset)
        return counted.read(
            config,
            Path(tokenized),
            self.states.get(tokenized, "done") == "done",
            Path(prepared),
            self.states.get(prepared, "done") == "done",
            model.positions,
        )

    def _training(self, found: Estimate, spec: TrainSpec) -> None:
        config, how = spec.experiment, sharding.of(spec.experiment)
        found.method, found.gpus = config.method, how.world if config.gpus else 0
        try:
            model = self.model(config.model)
            if not activations.layer(model.stacks[0])[1]:
                found.notes.append(f"layers of {model.stacks[0].family} counted as a llama's")
            for field in LESS:
                if config.model_dump(include={field})[field]:
                    found.notes.append(f"what {field} saves is not counted: less is needed")
            if "vision_config" in model.told:
                found.notes.append("activations of the part that sees pictures are not counted")
            found.set("disk_mb", lambda: disk.training(config, model))
            rows = self.rows(config, spec.tokenizer, model)
        except UnknownError as reason:
            missing = ("needs", "tokens", "seconds", *(() if found.disk_mb is not None else ("disk_mb",)))
            found.unknown |= dict.fromkeys(missing, str(reason))
            return
        found.notes.append(f"tokens by {rows.told_by}")
        found.set("tokens", lambda: work.of(config, model, rows, how.world).tokens)
        found.set("needs", lambda: self.history.memory(config, training.needs(config, model, rows, how, config.preflight)))
        found.set("seconds", lambda: self.history.seconds(config, model, rows, config.preflight))

    def _measuring(self, found: Estimate, spec: EvaluateSpec | RankSpec) -> None:
        config, generation = spec.experiment, spec.generation if isinstance(spec, EvaluateSpec) else None
        found.method, found.gpus = config.method, config.gpus
        try:
            model = self.model(config.model)
            rows = self.rows(config, spec.tokenizer, model)
            tested = self._tested(spec)
        except UnknownError as reason:
            found.unknown |= dict.fromkeys(("needs", "tokens", "seconds"), str(reason))
            return
        found.tokens = tested * rows.mean
        found.needs = self.history.measuring(config, inference.needs(config, model, rows, generation))
        operations = inference.operations(model, tested, rows.mean, generation)
        found.set("seconds", lambda: self.history.measuring_seconds(config, operations))
        found.notes.append("rows taken to be as long as those that are trained on")

    def _tested(self, spec: EvaluateSpec | RankSpec) -> float:
        """Rows that are measured."""
        if isinstance(spec, RankSpec):
            return float(spec.rows)
        report = artifact.read_json(Path(payload_of(spec.test), "report.json"))
        if self.states.get(payload_of(spec.test), "done") != "done" or report is None or "split" not in report:
            raise UnknownError("unknown until the dataset is prepared")
        return float(report["split"]["test"])

    def _other(self, found: Estimate, spec: Spec) -> None:
        """Stages that run no model: what the same stage took before, here."""
        found.set("host_mb", lambda: self.history.same_stage(spec.stage, "peak_memory_mb"))
        if isinstance(spec, MirrorSpec):
            found.set("disk_mb", lambda: disk.mirror(spec))
        elif isinstance(spec, TokenizeSpec):
            self._tokens(found, spec)
        else:
            found.unknown["disk_mb"] = "depends on rows that nobody has counted yet"
        found.set("seconds", lambda: self.history.same_stage(spec.stage, "seconds"))

    def _tokens(self, found: Estimate, spec: TokenizeSpec) -> None:
        """Tokens that are not made yet, by the characters of the rows."""
        try:
            rows = self.rows(spec.experiment, f"{found.path}/{spec.PAYLOAD}", self.model(spec.experiment.model))
        except UnknownError as reason:
            found.unknown |= dict.fromkeys(("tokens", "disk_mb"), str(reason))
            return
        found.tokens, found.disk_mb = rows.tokens, disk.tokens(rows)


def _in_source(spec: MirrorSpec) -> Architecture:
    """The architecture of a model that is on this machine though not mirrored yet."""
    told = [file for file in storage.local_files(spec.source) if file.name == "config.json"]
    if not told:
        raise UnknownError("unknown until the model is mirrored")
    return architecture.read(min(told, key=lambda file: len(file.parts)).parent)
