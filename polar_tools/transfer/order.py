"""A copy as a person orders it, on the command line or from a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polar_tools import storage
from polar_tools.storage.base import Access, Placement
from polar_tools.storage.hub import address
from polar_tools.transfer.copying import Wishes


@dataclass(frozen=True)
class Order:
    """From one URI to another, each reached in its own way."""

    source: str
    target: str
    sha256: str | None = None
    source_access: Access = field(default_factory=Access)
    target_access: Access = field(default_factory=Access)
    placement: Placement = field(default_factory=Placement)
    wishes: Wishes = field(default_factory=Wishes)
    all_refs: bool = False
    manifest: Path | None = None
    dry_run: bool = False


def ordered(
    source: str,
    target: str,
    *,
    source_repo_type: str | None = None,
    target_repo_type: str | None = None,
    revision: str | None = None,
    sha256: str | None = None,
    token: str | None = None,
    source_token: str | None = None,
    target_token: str | None = None,
    source_endpoint: str | None = None,
    target_endpoint: str | None = None,
    source_profile: str | None = None,
    target_profile: str | None = None,
    private: bool = False,
    message: str | None = None,
    allow: Sequence[str] = (),
    ignore: Sequence[str] = (),
    delete_extra: bool = False,
    safetensors_only: bool = False,
    jobs: int = 4,
    all_refs: bool = False,
    manifest: Path | None = None,
    dry_run: bool = False,
) -> Order:
    """The order in full: a bare target is of the source's type, a token is for both sides; raises ConfigError for what can't be meant."""
    uri = storage.as_uri(source, source_repo_type, revision)
    if target_repo_type is None and storage.is_bare(target) and uri.startswith("hf://"):
        target_repo_type = address.parse(uri).repo_type
    return Order(
        source=uri,
        target=storage.as_uri(target, target_repo_type),
        sha256=sha256,
        source_access=Access(source_endpoint, source_token or token, source_profile),
        target_access=Access(target_endpoint, target_token or token, target_profile),
        placement=Placement(private, message),
        wishes=Wishes(tuple(allow), tuple(ignore), delete_extra, safetensors_only, jobs),
        all_refs=all_refs,
        manifest=manifest,
        dry_run=dry_run,
    )
