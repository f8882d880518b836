"""hf://ORG/NAME@REVISION: a repository of a Hugging Face Hub (hf://datasets/ORG/NAME, hf://spaces/ORG/NAME), pinned to one commit.

Where nothing else is said, endpoint and token are huggingface_hub's own: HF_ENDPOINT, HF_TOKEN, or the token that `hf auth login` stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polar_tools.errors import ConfigError
from polar_tools.storage.base import Access, Placement, Snapshot, Target
from polar_tools.storage.hub.address import Address, parse

SCHEME = "hf"


def check(source: str, sha256: str | None) -> None:
    """Raise ConfigError unless `source` names a repository."""
    parse(source)
    if sha256 is not None:
        raise ConfigError(f"`{source}`: sha256 is for pypi:// sources; pin a repository by its commit: hf://ORG/NAME@COMMIT")


def local_files(source: str) -> list[Path]:
    """None: the source is remote."""
    return []


@contextmanager
def open(source: str, sha256: str | None, access: Access) -> Iterator[Snapshot]:
    """The repository at the commit that its revision means now."""
    from polar_tools.storage.hub.source import snapshot

    check(source, sha256)
    yield snapshot(source, access)


@contextmanager
def receive(target: str, access: Access, placement: Placement) -> Iterator[Target]:
    """The repository, at the branch that its revision names; made when it isn't there."""
    from polar_tools.storage.hub.repository import Repository
    from polar_tools.storage.hub.target import HubTarget

    address: Address = parse(target)
    if "/" not in address.repo_id:
        raise ConfigError(f"`{target}`: name the owner too: hf://OWNER/{address.repo_id}")
    yield HubTarget(Repository(target, address, access), address.revision, placement)
