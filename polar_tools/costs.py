"""What artifacts cost: time, memory and energy, as their manifests measured them. It differs from run to run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polar_tools.artifact import read_json


@dataclass(frozen=True)
class Cost:
    """One artifact: seconds, MiB at the peak of the process and on a GPU, joules by what used them. None is what nobody measured."""

    path: str
    stage: str
    seconds: float | None
    memory_mb: int | None
    device_memory_mb: int | None
    joules: dict[str, float]

    @property
    def energy(self) -> float | None:
        """Joules of all that was measured."""
        return sum(self.joules.values()) if self.joules else None


def of(path: str, stage: str) -> Cost:
    """What the artifact at `path` cost when it was made."""
    measured: dict[str, Any] = (read_json(Path(path) / "manifest.json") or {}).get("measured", {})
    return Cost(
        path=path,
        stage=stage,
        seconds=measured.get("seconds"),
        memory_mb=measured.get("peak_memory_mb"),
        device_memory_mb=measured.get("training", {}).get("peak_device_memory_mb"),
        joules=dict(measured.get("energy_joules", {})),
    )


def total(costs: Iterable[Cost], path: str = "") -> Cost:
    """Of several, one after another: times and energies are summed, of memory the largest counts."""
    every = list(costs)
    kinds = sorted({kind for one in every for kind in one.joules})
    return Cost(
        path=path,
        stage="",
        seconds=sum(one.seconds for one in every if one.seconds is not None) if any(one.seconds is not None for one in every) else None,
        memory_mb=max((one.memory_mb for one in every if one.memory_mb is not None), default=None),
        device_memory_mb=max((one.device_memory_mb for one in every if one.device_memory_mb is not None), default=None),
        joules={kind: sum(one.joules.get(kind, 0.0) for one in every) for kind in kinds},
    )
