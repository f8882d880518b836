"""One file a storage backend, found by its SCHEME."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

from polar_tools import discovery
from polar_tools.errors import ConfigError
from polar_tools.fields import did_you_mean
from polar_tools.storage.base import Snapshot


def open_source(source: str, sha256: str | None = None) -> AbstractContextManager[Snapshot]:
    """The state of `source` now, pinned; raises a StorageError or an IntegrityError where it can't be had."""
    snapshot: AbstractContextManager[Snapshot] = _backend(source).open(source, sha256)
    return snapshot


def check(source: str, sha256: str | None = None) -> None:
    """Raise ConfigError for a URI that can't work, without asking any network."""
    _backend(source).check(source, sha256)


def local_files(source: str) -> list[Path]:
    """The files on this machine that `source` consists of, sorted; none for a remote source."""
    files: list[Path] = _backend(source).local_files(source)
    return files


def _backend(source: str) -> ModuleType:
    schemes = {module.SCHEME: module for module in discovery.modules("storage").values()}
    scheme, separator, _ = source.partition("://")
    if not separator or scheme not in schemes:
        known = ", ".join(f"{name}://" for name in sorted(schemes))
        raise ConfigError(f"`{source}`: a source begins with one of {known}{did_you_mean(scheme, list(schemes))}")
    return schemes[scheme]
