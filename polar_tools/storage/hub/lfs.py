"""Send a large file to a Hub by the LFS protocol, straight from its source: nothing of it is kept here."""

from __future__ import annotations

from functools import partial
from typing import Any

from polar_tools.errors import StorageError
from polar_tools.storage.base import Content, Entry
from polar_tools.storage.hub.repository import ATTEMPTS, Repository, may_pass

MEDIA = {"Accept": "application/vnd.git-lfs+json", "Content-Type": "application/vnd.git-lfs+json"}


def upload(repository: Repository, branch: str, content: Content) -> None:
    """Bring the Hub to hold the bytes of `content`; sends none of them where it has them already.

    The addresses that it gives for them are good for a while only, so each attempt asks for new ones.
    """
    for number in range(1, ATTEMPTS + 1):
        actions = _actions(repository, branch, content.entry)
        if not actions:
            return
        try:
            _send(repository, actions["upload"], content)
            break
        except Exception as error:
            if number == ATTEMPTS or not (may_pass(error) or _expired(error)):
                raise repository.explained(error) from error
            repository.wait_after(error, number)
    if verify := actions.get("verify"):
        about = {"oid": content.entry.sha256, "size": content.entry.size}
        repository.call("POST", repository.here(verify["href"]), json=about, headers=verify.get("header") or {})


def _actions(repository: Repository, branch: str, entry: Entry) -> dict[str, Any]:
    """Where to send the object; nothing where it is there already."""
    asked = {
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": [{"oid": entry.sha256, "size": entry.size}],
        "hash_algo": "sha256",
        "ref": {"name": branch},
    }
    response = repository.call("POST", f"{repository.url}.git/info/lfs/objects/batch", json=asked, headers=MEDIA)
    answer: dict[str, Any] = response.json()["objects"][0]
    if error := answer.get("error"):
        raise StorageError(f"`{repository.uri}`: the Hub doesn't take {entry.path}: {error.get('message')}")
    actions: dict[str, Any] = answer.get("actions") or {}
    return actions


def _send(repository: Repository, action: dict[str, Any], content: Content) -> None:
    header = action.get("header") or {}
    url = repository.here(action["href"])
    if "chunk_size" not in header:
        _put(url, content, 0, content.entry.size)
        return
    size = int(header["chunk_size"])
    urls = [header[str(number)] for number in range(1, -(-content.entry.size // size) + 1)]
    parts = []
    for number, part in enumerate(urls):
        begin = number * size
        response = repository.patiently(partial(_put, repository.here(part), content, begin, begin + size))
        parts.append({"partNumber": number + 1, "etag": response.headers["etag"]})
    repository.call("POST", url, signed=True, json={"oid": content.entry.sha256, "parts": parts}, headers=MEDIA)


def _put(url: str, content: Content, start: int, stop: int) -> Any:
    """Send a part; its length is told beforehand, for the stores behind a Hub take no body of unknown length."""
    from huggingface_hub.utils import get_session, hf_raise_for_status

    length = min(stop, content.entry.size) - start
    body = content.read(start, stop)
    response = get_session().put(url, content=body, headers={"Content-Length": str(length)}, timeout=300.0)
    hf_raise_for_status(response)
    return response


def _expired(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code in (400, 403)
