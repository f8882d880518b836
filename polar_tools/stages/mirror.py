"""Copy a source exactly into an artifact, by the code of `polar-tools pull-push`."""

from __future__ import annotations

from pathlib import Path

from polar_tools import storage
from polar_tools.artifact import Facts
from polar_tools.errors import StorageError
from polar_tools.specs import MirrorSpec
from polar_tools.transfer.copying import Copy, Wishes
from polar_tools.transfer.progress import Progress

LIBRARIES = ()


def run(spec: MirrorSpec, folder: Path) -> Facts:
    """Make `folder`/snapshot the same files as the source has now; whole files that an interrupted run left there stay."""
    return Facts(recorded={"source": fetch(spec.source, spec, folder)})


def fetch(source: str, spec: MirrorSpec, folder: Path) -> dict[str, str]:
    """Fetch the files of `source`, which may be the spec's at a certain commit, and return what identifies their state."""
    target = f"file://{folder / spec.PAYLOAD}"
    with storage.open_source(source, spec.sha256) as snapshot, storage.open_target(target) as place:
        if not snapshot.entries:
            raise StorageError(f"`{source}` holds no files")
        progress = Progress(shown=True)
        try:
            Copy(snapshot, place, Wishes(delete_extra=True), progress).run()
        finally:
            progress.close()
        return snapshot.identity
