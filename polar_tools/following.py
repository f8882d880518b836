"""Publish checkpoints while a training goes on, from where the network is: whoever trains needs none."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polar_tools import artifact, cards, gates, lock
from polar_tools.errors import UserError
from polar_tools.fields import payload_of
from polar_tools.publishing import assembling, sending
from polar_tools.publishing.publication import CARD, Parcel
from polar_tools.publishing.sending import CHECKPOINTS, Target
from polar_tools.records import canonical, write_whole
from polar_tools.specs import PublishSpec, thaw
from polar_tools.training import checkpoints

SCRATCH = f"{lock.NAME}.checkpoint"
"""Where a checkpoint is linked to, so that the training may delete its own; by its name it is none of the publication's files."""
KEPT = "checkpoint-"


def follow(folder: Path, pause: float, say: Callable[[str], None]) -> None:
    """Send each whole checkpoint of the training behind a publication to the Hub, until the training is finished.

    `folder` is the publication's; `pause` is in seconds. Who comes late, or again, sends what isn't there yet. Raises UserError where the
    publication asks for no checkpoints.
    """
    spec = _spec(folder)
    run, one = next(iter(spec.runs.items()))
    training = Path(payload_of(one.model))
    [target] = [place for place in sending.targets(spec) if place.kind == "hub"]
    sent: set[int] = set()
    while True:
        finished = (training / "manifest.json").is_file()
        for path in _due(training / assembling.CHECKPOINTS, spec, sent):
            if _send(path, folder, spec, run, target):
                say(f"{target.uri}: step {checkpoints.step_of(path)} of {training}")
            sent.add(checkpoints.step_of(path))
        if finished:
            return
        time.sleep(pause)


def _spec(folder: Path) -> PublishSpec:
    try:
        spec = thaw((folder / "spec.json").read_bytes(), str(folder / "spec.json"))
    except OSError as error:
        raise UserError(f"there is no {folder}/spec.json; `snakemake -n` writes the specs of a config") from error
    if not isinstance(spec, PublishSpec):
        raise UserError(f"{folder}/spec.json is for the stage `{spec.stage}`, not for `publish`")
    if spec.terms.hub_strategy == "end":
        raise UserError("nothing is to be followed under `hub_strategy: end`; say every_save, checkpoint or all_checkpoints")
    if len(spec.runs) > 1:
        raise UserError("which run is best is known when all have ended: name a `seed` to publish its checkpoints before")
    return spec


def _due(folder: Path, spec: PublishSpec, sent: set[int]) -> list[Path]:
    """Finished checkpoints that weren't sent: all, the oldest first, or but the newest."""
    there = [path for path in checkpoints.all_in(folder) if (path / checkpoints.MARKER).is_file()]
    wanted = there[::-1] if spec.terms.hub_strategy == "all_checkpoints" else there[:1]
    return [path for path in wanted if checkpoints.step_of(path) not in sent]


def _send(checkpoint: Path, folder: Path, spec: PublishSpec, run: str, target: Target) -> bool:
    """Send one checkpoint; False where the training has deleted it meanwhile, so that it isn't whole."""
    scratch, held = folder / SCRATCH, folder / f"{SCRATCH}.whole"
    for place in (scratch, held):
        shutil.rmtree(place, ignore_errors=True)
    try:
        if not _linked(checkpoint, held):
            return False
        _assemble(held, scratch, spec, run, checkpoint, target)
        parcel = Parcel(scratch, spec.terms)
        gates.ask(parcel, str(checkpoint), finished=False)
        message = spec.terms.message or f"Step {checkpoints.step_of(checkpoint)} of a training that goes on"
        sending.send(parcel, target, message, kept=_kept(spec))
        return True
    finally:
        for place in (scratch, held):
            shutil.rmtree(place, ignore_errors=True)


def _kept(spec: PublishSpec) -> tuple[str, ...]:
    return (KEPT,) if spec.terms.hub_strategy == "all_checkpoints" else ()


def _linked(checkpoint: Path, held: Path) -> bool:
    """Whether all of a checkpoint could be linked to, whole, before it went."""
    try:
        for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
            artifact.put(path, held / path.relative_to(checkpoint))
    except FileNotFoundError:
        return False
    return checkpoints.fault(held) is None


def _assemble(held: Path, scratch: Path, spec: PublishSpec, run: str, checkpoint: Path, target: Target) -> None:
    """The newest model where a model lies, the checkpoint beside it as the strategy says, and which files are ours."""
    step = checkpoints.step_of(checkpoint)
    beside = {"every_save": None, "checkpoint": assembling.LAST, "all_checkpoints": checkpoint.name}[spec.terms.hub_strategy]
    for name in assembling.of_checkpoint(held, spec.terms, model_only=True):
        artifact.put(held / name, scratch / name)
    for name in assembling.of_checkpoint(held, spec.terms) if beside else ():
        artifact.put(held / name, scratch / str(beside) / name)
    write_whole(scratch / CARD, cards.draft(spec, run, step).encode())
    ours = {path.relative_to(scratch).as_posix() for path in scratch.rglob("*") if path.is_file()}
    earlier = {name for name in sending.named(target, CHECKPOINTS) if _kept(spec) and name.startswith(KEPT)}
    (scratch / CHECKPOINTS).parent.mkdir(exist_ok=True)
    told: dict[str, Any] = {"artifact": payload_of(spec.runs[run].model), "step": step, "files": sorted(ours | earlier)}
    write_whole(scratch / CHECKPOINTS, canonical(told))
