"""What trackers are to have, as it lies on disk, and what TensorBoard has; and secrets to look for."""

import json
from pathlib import Path

CANARIES = {name: f"canary-{name}-8c2f61d7" for name in ("environment", "variable", "key", "file", "tag", "address")}
"""By where each stands."""


def figures(file: Path) -> dict[str, list[tuple[int, float]]]:
    """A metrics.jsonl by the names that trackers are told, without what has no step or is no number."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        step = entry.pop("step")
        for name, value in entry.items():
            found.setdefault(f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}", []).append(
                (step, value)
            )
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All points in the event files below `folder`, as they were written."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return {name: sorted(points) for name, points in found.items()}
