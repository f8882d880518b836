"""Read a repository of a Hub at one commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from polar_tools.errors import StorageError
from polar_tools.storage.base import CHUNK, Access, Entry, Snapshot
from polar_tools.storage.hub.address import parse
from polar_tools.storage.hub.repository import ATTEMPTS, Repository, may_pass


def snapshot(source: str, access: Access) -> Snapshot:
    """The repository at the commit that its revision means now; raises a PolarError where it can't be had."""
    repository = Repository(source, parse(source), access)
    revision = repository.address.revision
    if (info := repository.info(revision)) is None:
        if (info := repository.info()) is None:
            raise repository.nowhere()
        if info.get("sha") or revision != "main":
            raise repository.no_revision()
    return replace(at(repository, info.get("sha")), private=bool(info.get("private")))


def at(repository: Repository, commit: str | None) -> Snapshot:
    """The repository at `commit`; None is the state before its first one."""
    identity = {"source": repository.uri, "commit": commit or ""}
    entries = repository.tree(commit) if commit else ()
    return Snapshot(
        identity,
        entries,
        partial(read, repository, commit),
        refs=repository.refs,
        elsewhere=partial(at, repository),
        vouches=True,
        endpoint=repository.endpoint,
        origin=repository,
    )


def read(repository: Repository, commit: str | None, entry: Entry, start: int) -> Iterator[bytes]:
    """The bytes of a file from `start`; where the connection breaks, the next one goes on from there."""
    from huggingface_hub import hf_hub_url

    address = repository.address
    url = hf_hub_url(address.repo_id, entry.path, repo_type=address.repo_type, revision=commit, endpoint=repository.endpoint)
    position, attempt = start, 0
    while position < entry.size or entry.size == 0:
        attempt += 1
        resume = {"Range": f"bytes={position}-"} if position else {}
        try:
            with repository.stream(url, {"Accept-Encoding": "identity", **resume}) as response:
                if resume and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    raise StorageError(f"{entry.path}: the Hub doesn't go on from where the connection broke; run the same command again")
                for chunk in _grouped(response.iter_bytes()):
                    position, attempt = position + len(chunk), 0
                    yield chunk
            return
        except Exception as error:
            if attempt == ATTEMPTS or not may_pass(error):
                raise _broken(repository, entry, error) from error
            repository.wait_after(error, attempt + 1)


def _grouped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of a network put together to some of a size; httpx2 does so too, but copies each byte five times."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        if (size := size + len(piece)) >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _broken(repository: Repository, entry: Entry, error: Exception) -> Exception:
    from httpx2 import TransportError

    if isinstance(error, TransportError):
        return StorageError(
            f"{entry.path}: the connection broke {ATTEMPTS} times in one place; whole files stay, run the same command again"
        )
    return repository.explained(error)
