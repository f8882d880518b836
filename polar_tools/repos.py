"""`from polar_tools import pull_and_push_repo`: what `polar-tools pull-push` does, for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polar_tools.errors import UserError


def pull_and_push_repo(
    source_repo_id: str | None = None,
    target_repo_id: str | None = None,
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
    **flat: Any,
) -> str:
    """Copy a repository exactly, and return the address at which people see the copy.

    `source_repo_id` and `target_repo_id` are ORG/NAME on the Hub, or URIs: hf://, s3://BUCKET/PREFIX, file://PATH, and pypi:// as a
    source. `target_repo_type` is the source's unless it is given; the types count for repositories of a Hub only. `bandwidth` is in
    bytes a second. The token is HF_TOKEN or that of `hf auth login` unless it is given, for both sides or for one.

    Without both, POLAR Trainer's flat arguments say it: `model_name_or_path` (or `train_data`) is copied with `push_to_hub` to
    `hub_model_id`, or with `push_to_minio` into `minio_model_save_bucket`; tokens and keys have their names there too.

    Raises a polar_tools.errors.PolarError whose message says what to do: UserError for what was asked, WorldError for what failed.
    """
    from polar_tools import storage, transfer
    from polar_tools.transfer.order import ordered
    from polar_tools.transfer.progress import Progress

    with _said(source_repo_id, target_repo_id, flat) as (source, target, message):
        order = ordered(
            source,
            target,
            source_repo_type=source_repo_type if storage.is_bare(source) else None,
            target_repo_type=target_repo_type or (source_repo_type if storage.is_bare(target) else None),
            revision=revision,
            token=token,
            source_token=source_token,
            target_token=target_token,
            source_endpoint=source_endpoint,
            target_endpoint=target_endpoint,
            private=private,
            message=commit_message or message,
            allow=_patterns(allow_patterns),
            ignore=_patterns(ignore_patterns),
            delete_extra=delete_extra,
            safetensors_only=safetensors_only,
            jobs=jobs,
            all_refs=all_refs,
            manifest=Path(manifest) if manifest else None,
        )
        return transfer.carry_out(order, Progress(bandwidth=bandwidth)).url


@contextmanager
def _said(source: str | None, target: str | None, flat: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Source, target and message; where neither side is named, as POLAR Trainer's arguments say, with their keys in the environment."""
    if source is None and target is None:
        from polar_tools import foreign_calls

        with foreign_calls.copying(flat) as copied:
            yield copied
    elif source is None or target is None or flat:
        raise UserError(_unclear(flat))
    else:
        yield source, target, None


def _unclear(flat: Mapping[str, Any]) -> str:
    names = ", ".join(sorted(flat))
    return f"beside source_repo_id and target_repo_id there is no {names}" if flat else "name both source_repo_id and target_repo_id"


def _patterns(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())
