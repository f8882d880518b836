"""hf://ORG/NAME@REVISION: a repository of a Hugging Face Hub (datasets: hf://datasets/ORG/NAME), pinned to one commit.

The endpoint and the token are huggingface_hub's own: HF_ENDPOINT, HF_TOKEN, or the token that `hf auth login` stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from polar_tools.errors import ConfigError, StorageError
from polar_tools.storage.base import CHUNK, Entry, Snapshot

SCHEME = "hf"


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
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    check(source, sha256)
    address = _parse(source)
    try:
        info = HfApi().repo_info(address.repo_id, revision=address.revision, repo_type=address.repo_type, files_metadata=True)
        entries = tuple(
            Entry(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id)
            for file in sorted(info.siblings or [], key=lambda file: file.rfilename)
        )
        pinned = address._replace(revision=str(info.sha))
        yield Snapshot({"source": source, "commit": pinned.revision}, entries, lambda entry: _read(pinned, entry))
    except HFValidationError as error:
        raise ConfigError(f"`{source}`: {error}") from error
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError) as error:
        raise StorageError(f"`{source}` can't be read: {_in_words(error)}") from error


def _read(address: _Address, entry: Entry) -> Iterator[bytes]:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

    url = hf_hub_url(address.repo_id, entry.path, repo_type=address.repo_type, revision=address.revision)
    with http_stream_backoff("GET", url, headers={**build_hf_headers(), "Accept-Encoding": "identity"}, follow_redirects=True) as response:
        hf_raise_for_status(response)
        yield from response.iter_bytes(CHUNK)


def _parse(source: str) -> _Address:
    found = re.fullmatch(r"hf://(?:(models|datasets|spaces)/)?([^@/]+(?:/[^@/]+)?)(?:@(.+))?", source)
    if found is None:
        raise ConfigError(f"`{source}` is not of the form hf://ORG/NAME@REVISION, or hf://datasets/ORG/NAME@REVISION")
    return _Address((found[1] or "models").removesuffix("s"), found[2], found[3] or "main")


def _in_words(error: Exception) -> str:
    """The first line of what the Hub said, without the request."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "Client Error" not in line and not line.startswith("(Request ID")), type(error).__name__)
