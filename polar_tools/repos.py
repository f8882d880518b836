"""`from polar_tools import pull_and_push_repo`: what `polar-tools pull-push` does, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def pull_and_push_repo(
    source_repo_id: str,
    target_repo_id: str,
    token: str | None = None,
    private: bool = False,
    commit_message: str | None = None,
    source_repo_type: str = "model",
    target_repo_type: str | None = None,
    ignore_patterns: str | Sequence[str] | None = None,
    allow_patterns: str | Sequence[str] | None = None,
    *,
    revision: str | None = None,
    source_token: str | None = None,
    target_token: str | None = None,
    source_endpoint: str | None = None,
    target_endpoint: str | None = None,
    all_refs: bool = False,
    delete_extra: bool = False,
    safetensors_only: bool = False,
    jobs: int = 4,
    bandwidth: int | None = None,
    manifest: str | Path | None = None,
) -> str:
    """Copy a repository exactly, and return the address at which people see the copy.

    `source_repo_id` and `target_repo_id` are ORG/NAME on the Hub, or URIs: hf://, s3://BUCKET/PREFIX, file://PATH, and pypi:// as a
    source. `target_repo_type` is the source's unless it is given; the types count for repositories of a Hub only. `bandwidth` is in
    bytes a second. The token is HF_TOKEN or that of `hf auth login` unless it is given, for both sides or for one.

    Raises a polar_tools.errors.PolarError whose message says what to do: UserError for what was asked, WorldError for what failed.
    """
    from polar_tools import storage, transfer
    from polar_tools.transfer.order import ordered
    from polar_tools.transfer.progress import Progress

    order = ordered(
        source_repo_id,
        target_repo_id,
        source_repo_type=source_repo_type if storage.is_bare(source_repo_id) else None,
        target_repo_type=target_repo_type or (source_repo_type if storage.is_bare(target_repo_id) else None),
        revision=revision,
        token=token,
        source_token=source_token,
        target_token=target_token,
        source_endpoint=source_endpoint,
        target_endpoint=target_endpoint,
        private=private,
        message=commit_message,
        allow=_patterns(allow_patterns),
        ignore=_patterns(ignore_patterns),
        delete_extra=delete_extra,
        safetensors_only=safetensors_only,
        jobs=jobs,
        all_refs=all_refs,
        manifest=Path(manifest) if manifest else None,
    )
    return transfer.carry_out(order, Progress(bandwidth=bandwidth)).url


def _patterns(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())
