"""Results as an RO-Crate for archives, by the profile Process Run Crate: what was run, by which tool, on what, with which outcome.

Profile: https://w3id.org/ro/wfrun/process/0.5; the library is ro-crate-py (rocrate), kept by those who write the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import UserError
from polar_tools.provenance import artifacts_in, lineage, root_of
from polar_tools.queries.project import Made, artifacts

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PARTS = ("spec.json", "record.json", "manifest.json")


def export(path: Path, output: Path, title: str, licence: str, everything: bool) -> dict[str, int]:
    """Write a crate of the artifacts at `path` into the new folder `output`; returns how many artifacts and files it has.

    Of what they were made from it has the records, and with `everything` all files, sources and checkpoints too. Raises UserError where
    `output` holds something, or a link of a chain is missing.
    """
    from rocrate.rocrate import ROCrate

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} holds something else; name an empty or a new folder by --output")
    folders = artifacts_in(path)
    root = root_of(folders[0])
    asked = {folder.resolve().relative_to(root).as_posix() for folder in folders}
    made = artifacts(root)
    chain = [name for name in made if name in asked | {one for folder in folders for one in _below(folder)}]
    crate = ROCrate(version="1.1")
    files = sum(_add(crate, made[name], everything or name in asked, everything) for name in chain)
    _describe(crate, title, licence, max(_ended(made[name]) for name in chain))
    crate.write(output)
    return {"artifacts": len(chain), "files": files}


def _below(folder: Path) -> set[str]:
    found, waiting = set[str](), [lineage(folder)]
    while waiting:
        node = waiting.pop()
        found.add(node.path)
        waiting += [part for part in node.inputs if part.path not in found]
    return found


def _describe(crate: ROCrate, title: str, licence: str, moment: datetime) -> None:
    """What the crate is, by which profile; it is dated by the work, so that the same work gives the same crate."""
    from rocrate.model.contextentity import ContextEntity

    about = {"@type": "CreativeWork", "name": licence.rpartition("/")[2], "identifier": licence}
    crate.name, crate.license, crate.datePublished = title, crate.add(ContextEntity(crate, licence, properties=about)), moment
    crate.description = "Results of POLAR with the record of every run: what it was told, on what it worked, the sha256 of each file"
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, properties=profile))
    crate.metadata.extra_contexts.append(TERMS)


def _add(crate: ROCrate, made: Made, whole: bool, volatile: bool) -> int:
    """An artifact as a Dataset, its files, and the action that made it; returns how many files."""
    names = [name for name in PARTS if (made.folder / name).is_file()]
    if whole:
        names += list(made.record["files"]) + (list(made.manifest.get("files", {})) if volatile else [])
    known: Mapping[str, Any] = {**made.record["files"], **made.manifest.get("files", {})}
    parts = []
    for name in names:
        about = {"contentSize": str((made.folder / name).stat().st_size), "name": name}
        about |= {"sha256": known[name]["sha256"]} if name in known else {}
        parts.append(crate.add_file(made.folder / name, f"{made.path}/{name}", properties=about))
    folder = crate.add_dataset(dest_path=made.path, properties={"name": made.path, "hasPart": [{"@id": part.id} for part in parts]})
    action = crate.add_action(_tool(crate, made), f"#{made.path}", _objects(crate, made), folder, properties=_told(made))
    crate.root_dataset.append_to("mentions", action)
    return len(parts)


def _tool(crate: ROCrate, made: Made) -> Any:
    """The tool of a stage, in the version that the manifest names."""
    from rocrate.model.softwareapplication import SoftwareApplication

    version = str(made.manifest.get("polar_tools", "unknown"))
    identifier = f"#polar-tools-{made.stage}-{version}"
    found = crate.dereference(identifier)
    if found is not None:
        return found
    about = {"name": f"polar-tools {made.stage}", "softwareVersion": version}
    return crate.add(SoftwareApplication(crate, identifier, properties=about))


def _objects(crate: ROCrate, made: Made) -> list[Any]:
    """On what a run worked: its spec, the artifacts that it read, and the source of a copy."""
    from rocrate.model.contextentity import ContextEntity

    found = [crate.dereference(f"{made.path}/spec.json"), *(crate.dereference(f"{name}/") for name in made.inputs)]
    source = made.facts.get("source")
    if source is not None:
        about = {
            "@type": "CreativeWork",
            "name": source["source"],
            "identifier": ", ".join(f"{name} {value}" for name, value in source.items()),
        }
        found.append(crate.add(ContextEntity(crate, f"#{source['source']}", properties=about)))
    return [entity for entity in found if entity is not None]


def _told(made: Made) -> dict[str, Any]:
    """When a run was, what it found, and with which libraries."""
    figures = made.facts.get("metrics", {})
    found = ", ".join(f"{name} {value:.6g}" for name, value in figures.items() if isinstance(value, int | float))
    libraries = ", ".join(f"{name} {version}" for name, version in made.record["versions"].items())
    return {
        "name": f"polar-tools {made.stage} {made.path}/spec.json",
        "startTime": made.manifest.get("started", ""),
        "endTime": _ended(made).isoformat(timespec="seconds"),
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "description": "; ".join(part for part in (found, f"libraries: {libraries}" if libraries else "", made.record_sha256) if part),
    }


def _ended(made: Made) -> datetime:
    """When an artifact was finished."""
    began = datetime.fromisoformat(made.manifest.get("started", "1970-01-01T00:00:00+00:00"))
    return began + timedelta(seconds=round(made.manifest.get("measured", {}).get("seconds", 0)))
