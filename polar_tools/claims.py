"""What a publication says of itself, and can be checked without asking anybody: from which artifact it is, and all records behind that.

    polar/claim.json                    the artifact, its record's sha256, its evaluations, and of which file each published one is
    polar/config.yaml                   the config, reduced to what the artifact and its evaluations need
    polar/records/PATH/{spec,record,manifest}.json    of the artifact, its evaluations, and all that they were made from

Paths are those of the plan, below the working directory in which it was made. Of manifests, host and local files are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polar_tools import provenance
from polar_tools.errors import UserError
from polar_tools.records import canonical, read_json, sha256_of, write_whole
from polar_tools.version import __version__

FOLDER = "polar"
CLAIM, CONFIG, RECORDS = f"{FOLDER}/claim.json", f"{FOLDER}/config.yaml", provenance.PUBLISHED
SIGNATURE = f"{FOLDER}/model.sig"
"""Where a publication is signed, the signature of all its other files."""
PARTS = ("spec.json", "record.json", "manifest.json")
LEFT_OUT = {"manifest.json": ["host", "local_files"]}
"""What of these files is not published: it tells of machines, and nothing is derived from it."""


@dataclass(frozen=True)
class Claim:
    """The claim of a publication that lies in `folder`."""

    folder: Path
    artifact: str
    """Path of the artifact, as in the plan."""
    record: str
    """sha256 of its record.json."""
    evaluations: tuple[str, ...]
    """Paths of what was measured of it."""
    polar_tools: str
    """The version that published."""
    files: dict[str, str | None]
    """Published file -> the artifact's file that it is; None where it was made for the publication (a card, merged weights)."""
    sha256: dict[str, str]
    """Published file -> the sha256 of its bytes."""
    left_out: dict[str, list[str]]

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / CONFIG

    @property
    def artifacts(self) -> list[str]:
        """Paths of all artifacts whose records are there, sorted."""
        top = self.folder / RECORDS
        return sorted(file.parent.relative_to(top).as_posix() for file in top.rglob("record.json"))

    def part(self, path: str, name: str = "record.json") -> dict[str, Any]:
        """spec.json, record.json or manifest.json of an artifact; raises UserError where it isn't there."""
        found = read_json(self.folder / RECORDS / path / name)
        if found is None:
            raise UserError(f"{self.folder}: the publication has no {RECORDS}/{path}/{name}; fetch it whole")
        return found


def write(
    folder: Path,
    artifact: str,
    evaluations: Sequence[str],
    config: Mapping[str, Any],
    files: Mapping[str, str | None],
    root: Path = Path(),
) -> None:
    """Write polar/ into `folder`, in which all other files lie already.

    `artifact` and `evaluations` are paths below `root`; `config` is what yaml is to hold; `files` names the artifact's file that a
    published one is, where it is one. Raises UserError where a record of the chain is missing.
    """
    import yaml

    for path in sorted({path for one in (artifact, *evaluations) for path in _chain(provenance.lineage(root / one))}):
        for name in PARTS:
            _write_part(folder / RECORDS / path / name, root / path / name)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=True, allow_unicode=True).encode())
    published = [name for name in _published(folder) if name not in (CLAIM, SIGNATURE)]
    claim = {
        "artifact": artifact,
        "record": sha256_of(root / artifact / "record.json"),
        "evaluations": sorted(evaluations),
        "config": CONFIG,
        "polar_tools": __version__,
        "files": {name: files.get(name) for name in published},
        "sha256": {name: sha256_of(folder / name) for name in published},
        "left_out": LEFT_OUT,
    }
    write_whole(folder / CLAIM, canonical(claim))


def is_publication(folder: Path) -> bool:
    """Whether a folder carries a claim."""
    return (folder / CLAIM).is_file()


def read(folder: Path) -> Claim:
    """The claim of the publication in `folder`; raises UserError where there is none."""
    told = read_json(folder / CLAIM)
    try:
        if told is None:
            raise KeyError(CLAIM)
        return Claim(
            folder=folder,
            artifact=told["artifact"],
            record=told["record"],
            evaluations=tuple(told["evaluations"]),
            polar_tools=told["polar_tools"],
            files=dict(told["files"]),
            sha256=dict(told.get("sha256", {})),
            left_out=dict(told.get("left_out", {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder} is no publication of POLAR: it has no {CLAIM} that this version can read") from error


def differences(claim: Claim) -> Iterator[str]:
    """What in a publication is not as it claims, a line each: files, records, and how the records hang together."""
    yield from _of_files(claim)
    hashes = {path: sha256_of(claim.folder / RECORDS / path / "record.json") for path in claim.artifacts}
    if hashes.get(claim.artifact) != claim.record:
        yield f"{RECORDS}/{claim.artifact}/record.json: not the record that the claim names"
    yield from (f"{RECORDS}/{path}: missing, and the claim names it" for path in claim.evaluations if path not in hashes)
    for path in hashes:
        yield from _of_record(claim, path, hashes)


def _of_files(claim: Claim) -> Iterator[str]:
    there = [name for name in _published(claim.folder) if name not in (CLAIM, SIGNATURE)]
    recorded = _recorded(claim)
    for name in sorted({*claim.files, *there}):
        origin = claim.files.get(name)
        if name not in claim.files:
            yield f"{name}: added"
        elif name not in there:
            yield f"{name}: missing"
        elif sha256_of(claim.folder / name) != claim.sha256.get(name):
            yield f"{name}: changed"
        elif origin is not None and recorded.get(origin) != claim.sha256.get(name):
            yield f"{name}: not the artifact's {origin}, as the claim says"


def _recorded(claim: Claim) -> dict[str, str]:
    """File of the artifact -> sha256, as its record and its manifest have it."""
    told = (read_json(claim.folder / RECORDS / claim.artifact / name) or {} for name in ("manifest.json", "record.json"))
    return {name: entry["sha256"] for part in told for name, entry in part.get("files", {}).items()}


def _of_record(claim: Claim, path: str, hashes: Mapping[str, str]) -> Iterator[str]:
    record, manifest = claim.part(path), read_json(claim.folder / RECORDS / path / "manifest.json") or {}
    if manifest.get("record") != hashes[path]:
        yield f"{RECORDS}/{path}/record.json: not the one that its manifest names"
    for name, known in sorted(record.get("inputs", {}).items()):
        if hashes.get(name) != known:
            what = "was made from another state of" if name in hashes else "has no record of"
            yield f"{RECORDS}/{path}: {what} {name}"


def _chain(node: provenance.Node) -> set[str]:
    """The paths of a chain."""
    found, waiting = {node.path}, [node]
    while waiting:
        fresh = [above for above in waiting.pop().inputs if above.path not in found]
        found |= {above.path for above in fresh}
        waiting += fresh
    return found


def _published(folder: Path) -> list[str]:
    """Files of a publication, sorted; what a store or a client adds for itself is none."""
    own = (".git", ".cache", ".gitattributes")
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0] not in own)


def _write_part(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.name not in LEFT_OUT:
        write_whole(target, source.read_bytes())
        return
    told = read_json(source) or {}
    write_whole(target, canonical({key: value for key, value in told.items() if key not in LEFT_OUT[source.name]}))
