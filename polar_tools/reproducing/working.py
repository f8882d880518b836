"""The work of a reproduction: what is needed, from which states of its sources, stage by stage in a clean folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polar_tools import artifact, claims, options, records
from polar_tools.artifact import Facts
from polar_tools.claims import Claim
from polar_tools.errors import UserError
from polar_tools.plan import Plan
from polar_tools.specs import MirrorSpec, TrainSpec

MIRROR = "mirror"


def bring_local_files(claim: Claim, files: Path, output: Path) -> None:
    """Put the local files that were read into `output`, as they lie below `files`; raises UserError that lists those that are missing.

    What is in them is compared later. Files with an absolute path must be where they were.
    """
    recorded = {path: sha256 for name in claim.artifacts for path, sha256 in claim.part(name)["local_files"].items()}
    missing = sorted(path for path in recorded if not (files / path).is_file())
    if missing:
        listed = "".join(f"\n  {path}  sha256 {recorded[path]}" for path in missing)
        raise UserError(f"these files of the machine that published were read, and are not in {files.resolve()} (--files):{listed}")
    for path in (path for path in recorded if not Path(path).is_absolute()):
        if ".." in Path(path).parts:
            raise UserError(f"the claim names a file {path}, which would lie outside of {output}")
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files / path, output / path)


def needed(plan: Plan, wanted: Sequence[str], given: Sequence[str] = ()) -> list[str]:
    """The artifacts to make for those that are `wanted`, in the order of the work; what is `given` needs nothing."""
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        path = waiting.pop()
        if path not in found and path not in given:
            if path not in plan.artifacts:
                raise UserError(f"the published config makes no {path}, which the claim is about")
            found.add(path)
            waiting += plan.artifacts[path].spec.inputs()
    return [path for path in plan.artifacts if path in found]


def give_weights(claim: Claim, output: Path) -> None:
    """Lay the published weights where the training would have left them, with its record; raises UserError where they aren't published."""
    folder = output / claim.artifact
    files = {origin: name for name, origin in claim.files.items() if origin is not None}
    if not any(origin.startswith(f"{TrainSpec.PAYLOAD}/") for origin in files):
        raise UserError("what is published isn't the trained model as the training left it (merged weights?); leave --only evaluate out")
    for name in claims.PARTS:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(claim.folder / claims.RECORDS / claim.artifact / name, folder / name)
    for origin, name in files.items():
        if ".." in Path(origin).parts or Path(origin).is_absolute():
            raise UserError(f"the claim names a file {origin}, which would lie outside of {folder}")
        (folder / origin).parent.mkdir(parents=True, exist_ok=True)
        artifact.put(claim.folder / name, folder / origin)


def make(plan: Plan, paths: Sequence[str], claim: Claim) -> None:
    """Make these artifacts below the working directory, sources first; what is there already is not made again."""
    for path in paths:
        folder, made = Path(path), plan.artifacts[path]
        folder.mkdir(parents=True, exist_ok=True)
        records.write_whole(folder / "spec.json", made.frozen)
    for path in paths:
        stage = plan.artifacts[path].spec.stage
        if stage == MIRROR:
            _mirror(Path(path), claim.part(path)["facts"].get("source", {}))
        else:
            options.run_stage(stage, Path(path), **({"preflight": False} if stage == "train" else {}))


def _mirror(folder: Path, recorded: dict[str, Any]) -> None:
    """Fetch a source in the state that is recorded, as far as its store keeps former states."""
    from polar_tools.stages import mirror

    def work(spec: MirrorSpec, folder: Path) -> Facts:
        identity = mirror.fetch(at(spec.source, recorded), spec, folder)
        return Facts(recorded={"source": {**identity, "source": spec.source}})

    options.set_up(MIRROR)
    worked = artifact.make(folder, MIRROR, work, lambda: mirror.LIBRARIES)
    print(f"{folder}: {'fetched' if worked else 'up to date'}", flush=True)


def at(source: str, recorded: dict[str, Any]) -> str:
    """A source's address at the commit that is recorded; the address itself where its store knows no commits."""
    if not source.startswith("hf://") or not recorded.get("commit"):
        return source
    return f"{source.partition('@')[0]}@{recorded['commit']}"


def weights(claim: Claim) -> Iterator[tuple[str, Path]]:
    """The artifact's safetensors files that are published: name in the artifact, and where they lie."""
    for name, origin in sorted(claim.files.items()):
        if origin is not None and origin.endswith(".safetensors"):
            yield origin, claim.folder / name
