"""A person's mistake that a stage found while it worked, left beside the lock: the same work would only find it again.

A cluster's job shows Snakemake no exit status, so Snakemake can't tell what is worth another attempt. Here it can look.
"""

from __future__ import annotations

from pathlib import Path

from polar_tools import lock, secrets
from polar_tools.records import canonical, read_json, sha256_of, write_whole

NAME = f"{lock.NAME}-refusal.json"
"""Names that begin as the lock's are no content of an artifact."""


def note(folder: Path, error: Exception) -> None:
    """Leave word of a mistake in the spec of `folder`, or in what it names."""
    write_whole(folder / NAME, canonical({"error": secrets.redacted(str(error)), "spec": sha256_of(folder / "spec.json")}))


def read(folder: Path) -> str | None:
    """What was wrong with the spec that is there now; None where nothing is known of it."""
    told = read_json(folder / NAME)
    spec = folder / "spec.json"
    return str(told["error"]) if told and spec.is_file() and told.get("spec") == sha256_of(spec) else None


def forget(folder: Path) -> None:
    """The work is tried anew."""
    (folder / NAME).unlink(missing_ok=True)
