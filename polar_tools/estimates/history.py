"""The past runs below the working directory, and figures corrected by them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from polar_tools.artifact import read_json
from polar_tools.errors import UserError
from polar_tools.estimates import architecture, inference, past, sharding, training, work
from polar_tools.estimates import rows as counted
from polar_tools.estimates.amounts import UnknownError
from polar_tools.estimates.architecture import Architecture
from polar_tools.estimates.past import Run
from polar_tools.estimates.rows import Rows
from polar_tools.estimates.training import Needs
from polar_tools.fields import payload_of
from polar_tools.specs import EvaluateSpec, Spec, TrainSpec, thaw

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

CPU_SPEED = 30e9
"""Operations a second of a CPU thread, where no run was measured yet: what float32 came to on one thread of a server of 2023."""
START = 15.0
"""Seconds until libraries are imported, a small model is loaded, and what was trained is saved."""
PREFLIGHT = "preflight.json"
"""What a training leaves that looked before it began."""


@dataclass(frozen=True)
class Finished:
    """A training that is done, with what it was made from."""

    path: str
    config: Config
    model: Architecture
    rows: Rows
    preflight: bool
    measured: dict[str, Any]

    @property
    def on_gpu(self) -> bool:
        """Whether it ran on GPUs."""
        return self.config.gpus > 0


class History:
    """What was measured here; read when it is asked for."""

    def __init__(self, root: Path = Path(), device_speed: float | None = None) -> None:
        self.root, self.device_speed = root, device_speed

    @cached_property
    def trainings(self) -> list[Finished]:
        """The finished trainings of which all is known that the formulas ask."""
        found = (_finished(folder, manifest) for folder, manifest in self._manifests("train"))
        return [one for one in found if one is not None]

    @cached_property
    def hosts(self) -> list[Run]:
        """Peaks of processes that trained on a CPU."""
        return self._peaks(False, lambda needs: needs.device.total, lambda measured: measured.get("peak_memory_mb"))

    @cached_property
    def devices(self) -> list[Run]:
        """Peaks of what torch gave out on a GPU."""
        return self._peaks(True, _given_out, lambda measured: measured.get("training", {}).get("peak_device_memory_mb"))

    def steps(self, on_gpu: bool) -> list[Run]:
        """Seconds of a step, as the formulas and the stated speed give them, and as they were."""
        found = []
        for one in self.trainings:
            taken = one.measured.get("training", {}).get("seconds_a_step")
            if one.on_gpu == on_gpu and taken:
                world = sharding.of(one.config).world
                found.append(Run(one.path, one.config.method, self._step(one.config, one.model, one.rows, world), taken))
        return found

    def around(self) -> list[Run]:
        """Seconds of a training's process besides its steps."""
        found = []
        for one in self.trainings:
            inside = one.measured.get("training", {}).get("seconds")
            if inside is not None:
                foretold = self._around(one.config, one.model, one.rows, one.preflight)
                found.append(Run(one.path, one.config.method, foretold, one.measured["seconds"] - inside))
        return found

    def memory(self, config: Config, needs: Needs) -> Needs:
        """`needs`, corrected; a host beside GPUs stays as the formulas have it."""
        if config.gpus:
            fixed = past.corrected(_given_out(needs), config.method, self.devices)
            more = fixed.value - _given_out(needs)
            return replace(needs, device=replace(needs.device, correction=more))
        fixed = past.corrected(needs.device.total, config.method, self.hosts)
        more = fixed.value - needs.device.total
        return Needs(replace(needs.device, correction=more), needs.host + more * (needs.host / needs.device.total))

    def seconds(self, config: Config, model: Architecture, rows: Rows, preflight: bool) -> float:
        """How long a training takes; raises UnknownError where nobody knows how fast the device is."""
        how = work.of(config, model, rows, sharding.of(config).world)
        step = self._step(config, model, rows, sharding.of(config).world)
        a_step = past.corrected(step, config.method, self.steps(bool(config.gpus)), 0.0).value
        around = past.corrected(self._around(config, model, rows, preflight), config.method, self.around()).value
        return around + how.steps * a_step

    def measuring(self, config: Config, needs: Needs) -> Needs:
        """What an evaluation needs, corrected by those before it."""
        if config.gpus:
            return needs
        more = past.corrected(needs.device.total, config.method, self.evaluations).value - needs.device.total
        return Needs(replace(needs.device, correction=more), needs.host + more)

    def measuring_seconds(self, config: Config, operations: float) -> float:
        """How long an evaluation takes: at the speed of a device, and no faster than a process starts."""
        return START + operations / self.speed(config)

    @cached_property
    def evaluations(self) -> list[Run]:
        """Peaks of evaluations on a CPU."""
        found = []
        for folder, manifest in self._manifests("evaluate"):
            spec = _spec(folder)
            if isinstance(spec, EvaluateSpec) and not spec.experiment.gpus:
                try:
                    model, rows = _read(spec.experiment.model), _rows(spec.experiment, spec.tokenizer)
                except UnknownError:
                    continue
                foretold = inference.needs(spec.experiment, model, rows, spec.generation).device.total
                found.append(Run(folder.as_posix(), spec.experiment.method, foretold, manifest["peak_memory_mb"]))
        return found

    def same_stage(self, stage: str, figure: str) -> float:
        """The median of what `stage` took before; raises UnknownError where it never ran here."""
        found = [manifest[figure] for _, manifest in self._manifests(stage) if figure in manifest]
        if not found:
            raise UnknownError(f"no {stage} was measured here yet")
        return float(median(found))

    def errors(self) -> dict[str, tuple[float, int]]:
        """Figure -> the median error of what is predicted of each past run without itself, and how many there are."""
        figures = {
            "memory": past.error(self.hosts),
            "device memory": past.error(self.devices),
            "seconds a step": past.error(self.steps(False) + self.steps(True), 0.0),
            "memory of evaluations": past.error(self.evaluations),
        }
        runs = {
            "memory": len(self.hosts),
            "device memory": len(self.devices),
            "seconds a step": len(self.steps(False) + self.steps(True)),
            "memory of evaluations": len(self.evaluations),
        }
        return {name: (value, runs[name]) for name, value in figures.items() if value is not None}

    def speed(self, config: Config) -> float:
        """Operations a second of a device, as stated before a run is measured; raises UnknownError for a GPU without."""
        if config.gpus == 0:
            return CPU_SPEED * config.threads
        if self.device_speed is None and not any(one.on_gpu for one in self.trainings):
            raise UnknownError("no training on a GPU was measured here; state a device's speed with --device-speed 400TFLOPS")
        return self.device_speed or 1e14

    def _step(self, config: Config, model: Architecture, rows: Rows, world: int) -> float:
        how = work.of(config, model, rows, world)
        return how.operations / how.steps / world / self.speed(config)

    def _around(self, config: Config, model: Architecture, rows: Rows, preflight: bool) -> float:
        return START + (START + work.preflight(config, model, rows) / self.speed(config) if preflight else 0.0)

    def _peaks(self, on_gpu: bool, foretold: Any, measured: Any) -> list[Run]:
        found = []
        for one in self.trainings:
            peak = measured(one.measured)
            if one.on_gpu == on_gpu and peak:
                needs = training.needs(one.config, one.model, one.rows, sharding.of(one.config), one.preflight)
                found.append(Run(one.path, one.config.method, foretold(needs), float(peak)))
        return found

    def _manifests(self, stage: str) -> list[tuple[Path, dict[str, Any]]]:
        """Finished artifacts of a stage with what was measured of them."""
        found = []
        for folder in past.folders(self.root, stage):
            manifest = read_json(folder / "manifest.json") or {}
            told = read_json(folder / "spec.json") or {}
            if told.get("stage") == stage and "measured" in manifest:
                found.append((folder, manifest["measured"]))
        return found


def _given_out(needs: Needs) -> float:
    """What torch's allocator gives out on a device, without what it holds beyond that, and without CUDA's own."""
    return needs.device.total - needs.device.libraries - needs.device.slack


def _finished(folder: Path, measured: dict[str, Any]) -> Finished | None:
    spec = _spec(folder)
    if not isinstance(spec, TrainSpec) or not spec.experiment.do_train:
        return None
    try:
        model, rows = _read(spec.experiment.model), _rows(spec.experiment, spec.tokenizer)
        training.needs(spec.experiment, model, rows, sharding.of(spec.experiment))
    except UnknownError:
        return None
    return Finished(folder.as_posix(), spec.experiment, model, rows, (folder / PREFLIGHT).is_file(), measured)


def _spec(folder: Path) -> Spec | None:
    """The spec in a folder; None where it is of another version."""
    try:
        return thaw((folder / "spec.json").read_bytes(), str(folder))
    except (OSError, UserError):
        return None


@cache
def _read(folder: str) -> Architecture:
    return architecture.read(Path(folder))


def _rows(config: Config, tokenizer: str) -> Rows:
    return counted.read(config, Path(payload_of(tokenizer)), True, Path(payload_of(config.dataset)), True, None)
