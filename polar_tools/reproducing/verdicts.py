"""How far an artifact that was made again is the one that was claimed, and why not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polar_tools.artifact import is_volatile, read_json
from polar_tools.queries.keys import ABSENT, Change, changes, shown

IDENTICAL, WITHIN, DIFFERENT = "BIT-IDENTICAL", "WITHIN TOLERANCE", "DIFFERENT"
NUMERIC = ("train", "rank", "evaluate", "harness")
"""Stages whose results are floating-point numbers, of which another machine may give others."""
HARDWARE = ("platform", "python", "polar_tools")
"""What a manifest says of where an artifact was made."""
SAID = ("metrics", "rows", "first_loss", "last_loss", "steps", "eval_metrics", "seed")
"""Facts of these stages that are claims. Others, such as intervals and signatures, follow from them or name versions."""


@dataclass
class Verdict:
    """One artifact: what of its files, facts and weights differs, and the reasons that are known."""

    path: str
    stage: str
    verdict: str
    record: str
    made: str
    files: list[str] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    """Each claimed number that isn't the one that was found, with both."""
    facts: list[str] = field(default_factory=list)
    """Other facts that differ, in words."""
    weights: dict[str, float] = field(default_factory=dict)
    """File -> how far its tensors are apart, as a share of their size (root mean square), the largest of all tensors."""
    why: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For a program to read."""
        told = {"path": self.path, "stage": self.stage, "verdict": self.verdict, "claimed_record": self.record, "made_record": self.made}
        more = {"files": self.files, "numbers": self.numbers, "facts": self.facts, "weights": self.weights, "why": self.why}
        return {**told, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True)
class Pair:
    """The claimed record and manifest of an artifact, and the made ones, with the hashes of both records."""

    path: str
    claimed: dict[str, Any]
    made: dict[str, Any]
    hashes: tuple[str, str]
    manifests: tuple[dict[str, Any], dict[str, Any]]
    weights: Mapping[str, Path]
    """Claimed weights by their name in the artifact, where they are published."""
    folder: Path


def of(pair: Pair, tolerance: float, differing: Sequence[str]) -> Verdict:
    """The verdict on one artifact; `differing` are its inputs that are not as claimed."""
    stage = pair.claimed["spec"]["stage"]
    found = Verdict(pair.path, stage, IDENTICAL, *pair.hashes)
    found.files = sorted(_files(pair))
    differences = [change for change in changes(pair.claimed["facts"], pair.made["facts"]) if _counts(change, stage)]
    if not found.files and not differences:
        return found
    found.numbers = [_number(change) for change in differences if _is_number(change)]
    found.facts = [str(change) for change in differences if not _is_number(change)]
    found.weights = {name: apart(file, pair.folder / name) for name, file in pair.weights.items() if name in found.files}
    near = all(_is_near(change, tolerance) for change in differences) and all(share <= tolerance for share in found.weights.values())
    found.verdict = WITHIN if stage in NUMERIC and near else DIFFERENT
    found.why = [f"made from {path}, which differs" for path in differing] or list(_reasons(pair))
    return found


def _files(pair: Pair) -> Iterator[str]:
    """The files that are of other bytes, but for those that may differ from run to run."""
    before, now = ({name: entry["sha256"] for name, entry in record["files"].items()} for record in (pair.claimed, pair.made))
    loose = (*pair.claimed["volatile"], *pair.made["volatile"])
    for name in before.keys() | now.keys():
        if before.get(name) != now.get(name) and not is_volatile(name, loose):
            yield name


def _counts(change: Change, stage: str) -> bool:
    return stage not in NUMERIC or change.key.partition(".")[0] in SAID


def _is_number(change: Change) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in (change.old, change.new))


def _is_near(change: Change, tolerance: float) -> bool:
    return _is_number(change) and math.isclose(change.old, change.new, rel_tol=tolerance, abs_tol=tolerance / 10)


def _number(change: Change) -> dict[str, Any]:
    return {"name": change.key, "claimed": change.old, "found": change.new}


def apart(claimed: Path, made: Path) -> float:
    """How far the tensors of two safetensors files are apart: of the tensor where that is most, the root mean square of the difference
    as a share of that of the claimed one; infinite where names or shapes differ.
    """
    import numpy as np
    from safetensors import safe_open

    if not made.is_file():
        return math.inf
    with safe_open(claimed, "pt") as old, safe_open(made, "pt") as new:
        if sorted(old.keys()) != sorted(new.keys()):
            return math.inf
        farthest = 0.0
        for name in old.keys():  # noqa: SIM118 (no dictionary)
            one, other = (np.asarray(file.get_tensor(name).double().numpy()) for file in (old, new))
            if one.shape != other.shape:
                return math.inf
            size = math.sqrt(float(np.mean(one**2))) if one.size else 0.0
            distance = math.sqrt(float(np.mean((one - other) ** 2))) if one.size else 0.0
            farthest = max(farthest, distance / size if size else (math.inf if distance else 0.0))
    return farthest


def _reasons(pair: Pair) -> Iterator[str]:
    """What could make the difference where no input does: config, data, versions, hardware, in this order."""
    for change in changes(pair.claimed["spec"], pair.made["spec"]):
        yield f"config: {change}"
    for change in changes(pair.claimed["local_files"], pair.made["local_files"]):
        yield f"data: {change.key}: sha256 {shown(change.old)[:16]} -> {shown(change.new)[:16]}"
    source = pair.claimed["facts"].get("source", {}), pair.made["facts"].get("source", {})
    yield from (f"data: {change}" for change in changes(*source))
    if pair.claimed["spec"]["stage"] == "mirror":
        yield from (f"data: {name} has other bytes" for name in sorted(_files(pair)))
    for change in changes(pair.claimed["versions"], pair.made["versions"]):
        yield f"versions: {change}"
    claimed, made = pair.manifests
    for name in HARDWARE:
        if claimed.get(name, ABSENT) != made.get(name, ABSENT):
            yield f"hardware: {Change(name, claimed.get(name, ABSENT), made.get(name, ABSENT))}"
    for change in changes(_devices(claimed), _devices(made)):
        yield f"hardware: {change}"


def _devices(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says of processors, whatever it calls them."""
    measured = manifest.get("measured", {})
    return {name: value for name, value in measured.items() if isinstance(value, str | list) and name != "trackers"}


def pair(path: str, claimed: Path, made: Path, weights: Mapping[str, Path]) -> Pair:
    """The records of an artifact in two folders."""
    from polar_tools.records import sha256_of

    both = [{name: read_json(folder / f"{name}.json") or {} for name in ("record", "manifest")} for folder in (claimed, made)]
    hashes = sha256_of(claimed / "record.json"), sha256_of(made / "record.json")
    return Pair(path, both[0]["record"], both[1]["record"], hashes, (both[0]["manifest"], both[1]["manifest"]), weights, made)
