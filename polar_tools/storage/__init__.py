"""One file a storage backend, found by its SCHEME."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

from polar_tools import discovery
from polar_tools.errors import ConfigError
from polar_tools.fields import did_you_mean
from polar_tools.storage.base import Access, Placement, Snapshot, Target
from polar_tools.storage.hub import address

HERE, PLAIN = Access(), Placement()
PATHS = (".", "/", "~")
"""How what a person writes for a folder begins."""


def open_source(source: str, sha256: str | None = None, access: Access = HERE) -> AbstractContextManager[Snapshot]:
    """The state of `source` now, pinned; raises a StorageError or an IntegrityError where it can't be had."""
    snapshot: AbstractContextManager[Snapshot] = _backend(source).open(source, sha256, access)
    return snapshot


def open_target(target: str, access: Access = HERE, placement: Placement = PLAIN) -> AbstractContextManager[Target]:
    """The place `target`, which receives files; raises a UserError where it can't."""
    place: AbstractContextManager[Target] = _backend(target).receive(target, access, placement)
    return place


def check(source: str, sha256: str | None = None) -> None:
    """Raise ConfigError for a URI that can't work, without asking any network."""
    _backend(source).check(source, sha256)


def local_files(source: str) -> list[Path]:
    """The files on this machine that `source` consists of, sorted; none for a remote source."""
    files: list[Path] = _backend(source).local_files(source)
    return files


def is_bare(text: str) -> bool:
    """Whether a person wrote ORG/NAME, which leaves open what type of repository that is."""
    return "://" not in text and not text.startswith(PATHS)


def as_uri(text: str, repo_type: str | None = None, revision: str | None = None) -> str:
    """What a person wrote for one side of a copy as a URI: ORG/NAME is a repository of the Hub, ./PATH and /PATH are folders.

    Raises ConfigError for a folder that is written as if it were a repository, and for a type or revision of what has none.
    """
    if is_bare(text):
        if Path(text).exists():
            raise ConfigError(f"`{text}` means a repository of the Hub, but there is such a path here: write file://{text} or hf://{text}")
        text = f"hf://{text}"
    elif text.startswith(PATHS):
        text = f"file://{Path(text).expanduser()}"
    if text.startswith("hf://"):
        return address.written(text, repo_type, revision)
    if repo_type is not None or revision is not None:
        raise ConfigError(f"`{text}`: only a repository of the Hub has a type and revisions")
    return text


def _backend(source: str) -> ModuleType:
    schemes = {module.SCHEME: module for module in discovery.modules("storage").values()}
    scheme, separator, _ = source.partition("://")
    if not separator or scheme not in schemes:
        known = ", ".join(f"{name}://" for name in sorted(schemes))
        raise ConfigError(f"`{source}`: a source begins with one of {known}{did_you_mean(scheme, list(schemes))}")
    return schemes[scheme]
