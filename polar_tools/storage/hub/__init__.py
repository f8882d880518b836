"""hf://ORG/NAME@REVISION: a repository of a Hugging Face Hub (datasets: hf://datasets/ORG/NAME), pinned to one commit.

The endpoint and the token are huggingface_hub's own: HF_ENDPOINT, HF_TOKEN, or the token that `hf auth login` stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from polar_tools.errors import ConfigError, PolarError, StorageError, UserError
from polar_tools.storage.base import CHUNK, Entry, Snapshot

SCHEME = "hf"
PATIENCE = 60.0
"""Seconds of silence after which a connection counts as broken."""
ATTEMPTS = 5
"""How often a file is asked for, from where it broke off."""


class _Address(NamedTuple):
    repo_type: str
    repo_id: str
    revision: str


def check(source: str, sha256: str | None) -> None:
    """Raise ConfigError unless `source` names a repository."""
    _parse(source)
    if sha256 is not None:
        raise ConfigError(f"`{source}`: sha256 is for pypi:// sources; pin a repository by its commit: hf://ORG/NAME@COMMIT")


def local_files(source: str) -> list[Path]:
    """None: the source is remote."""
    return []


@contextmanager
def open(source: str, sha256: str | None) -> Iterator[Snapshot]:
    """The repository at the commit that its revision means now."""
    import httpx2
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    check(source, sha256)
    address = _parse(source)
    try:
        pinned = address._replace(revision=_commit(address))
        yield Snapshot({"source": source, "commit": pinned.revision}, _entries(pinned), lambda entry: _read(pinned, entry))
    except HFValidationError as error:
        raise ConfigError(f"`{source}`: {error}") from error
    except OfflineModeIsEnabled as error:
        raise StorageError(f"`{source}` can't be read: HF_HUB_OFFLINE is set") from error
    except httpx2.HTTPError as error:
        raise _explained(source, address, error) from error


def _commit(address: _Address) -> str:
    from huggingface_hub import constants
    from huggingface_hub.utils import hf_raise_for_status, http_backoff, validate_repo_id

    validate_repo_id(address.repo_id)
    # As HfApi.repo_info, which gives up at the first 503.
    url = f"{constants.ENDPOINT}/api/{address.repo_type}s/{address.repo_id}/revision/{quote(address.revision, safe='')}"
    response = http_backoff("GET", url, headers=_headers(), timeout=PATIENCE)
    hf_raise_for_status(response)
    return str(response.json()["sha"])


def _entries(address: _Address) -> tuple[Entry, ...]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    tree = HfApi().list_repo_tree(address.repo_id, recursive=True, revision=address.revision, repo_type=address.repo_type)
    files = sorted((file for file in tree if isinstance(file, RepoFile)), key=lambda file: file.path)
    return tuple(Entry(file.path, file.size, file.lfs.sha256 if file.lfs else None, file.blob_id) for file in files)


def _read(address: _Address, entry: Entry) -> Iterator[bytes]:
    """The bytes of a file; where the connection breaks, the next one goes on from there."""
    import httpx2
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff

    url = hf_hub_url(address.repo_id, entry.path, repo_type=address.repo_type, revision=address.revision)
    headers = {**_headers(), "Accept-Encoding": "identity"}
    position = 0
    for _ in range(ATTEMPTS):
        resume = {"Range": f"bytes={position}-"} if position else {}
        with http_stream_backoff("GET", url, headers={**headers, **resume}, timeout=PATIENCE) as response:
            hf_raise_for_status(response)
            if resume and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                break
            try:
                for chunk in response.iter_bytes(CHUNK):
                    position += len(chunk)
                    yield chunk
                return
            except httpx2.TransportError:
                continue  # leaving the block as it likes to be left: http_stream_backoff would take the error for its own
    raise StorageError(f"{entry.path}: the connection broke; run the same command again, whole files stay")


def _headers() -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers

    headers: dict[str, str] = build_hf_headers()
    token = headers.get("authorization", "")
    if not (token.isascii() and token.isprintable()):  # what sends it would complain of it by showing it
        raise UserError("the token of the Hub (HF_TOKEN, or what `hf auth login` stored) holds characters that no token has")
    return headers


def _parse(source: str) -> _Address:
    found = re.fullmatch(r"hf://(?:(models|datasets|spaces)/)?([^@/]+(?:/[^@/]+)?)(?:@(.+))?", source)
    if found is None:
        raise ConfigError(f"`{source}` is not of the form hf://ORG/NAME@REVISION, or hf://datasets/ORG/NAME@REVISION")
    return _Address((found[1] or "models").removesuffix("s"), found[2], found[3] or "main")


def _explained(source: str, address: _Address, error: Exception) -> PolarError:
    """What to say of an answer of the Hub. Never the error's own words: they hold addresses and may hold a token."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return UserError(f"`{source}` is gated: accept its conditions on the Hub, and set HF_TOKEN or run `hf auth login`")
    if isinstance(error, RepositoryNotFoundError):
        return UserError(f"`{source}`: there is no such {address.repo_type}, or it is private: set HF_TOKEN or run `hf auth login`")
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"`{source}`: the {address.repo_type} has no branch, tag or commit `{address.revision}`")
    if isinstance(error, HfHubHTTPError):
        said = f": {error.server_message}" if error.server_message else ""
        return StorageError(f"`{source}` can't be read: the Hub answered {error.response.status_code}{said}")
    return StorageError(f"`{source}` can't be read: {type(error).__name__}; is the Hub (HF_ENDPOINT) reachable?")
