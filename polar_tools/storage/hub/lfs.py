"""Send large files to a Hub by the LFS protocol, straight from their source: nothing of them is kept here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from polar_tools.errors import StorageError
from polar_tools.storage.base import Content, Entry
from polar_tools.storage.hub.repository import ATTEMPTS, Repository, may_pass

MEDIA = {"Accept": "application/vnd.git-lfs+json", "Content-Type": "application/vnd.git-lfs+json"}
LOT = 100
"""Files that one question is about at most."""
LOT_BYTES = 1 << 30
"""Bytes of those files: what takes longer may find its answer out of date."""
FRESH = 600.0
"""Seconds for which an answer is used: the addresses in it are good for a while only."""
NEVER: tuple[float, dict[str, Any]] = (float("-inf"), {})
"""An answer that was not asked for; 0 would be no long time ago on a machine that has just been started."""
SILENCE = 300.0
"""Seconds after which a store that is sent to and says nothing counts as gone."""


class Uploads:
    """The large files of a branch. Several threads may send them at once."""

    def __init__(self, repository: Repository, branch: str) -> None:
        self._repository, self._branch = repository, branch
        self._coming: list[Entry] = []
        self._answers: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def expect(self, entries: Sequence[Entry]) -> None:
        """What will be sent, in that order: it is asked for in lots."""
        self._coming = [entry for entry in entries if entry.sha256 is not None]

    def send(self, content: Content) -> None:
        """Bring the Hub to hold the bytes of `content`; sends none of them where it has them already."""
        for number in range(1, ATTEMPTS + 1):
            actions = self._actions(content.entry)
            if not actions:
                return
            try:
                _send(self._repository, actions["upload"], content)
                break
            except Exception as error:
                if number == ATTEMPTS or not (may_pass(error) or _expired(error)):
                    raise self._repository.explained(error) from error
                self._repository.wait_after(error, number)
        if verify := actions.get("verify"):
            about = {"oid": content.entry.sha256, "size": content.entry.size}
            self._repository.call("POST", self._repository.here(verify["href"]), json=about, headers=verify.get("header") or {})

    def _actions(self, entry: Entry) -> dict[str, Any]:
        """Where to send a file; nothing where it is there already. No answer is used twice."""
        oid = str(entry.sha256)
        with self._lock:
            asked, answer = self._answers.pop(oid, NEVER)
            if time.monotonic() - asked > FRESH:
                self._answers |= self._asked(self._lot(entry))
                _, answer = self._answers.pop(oid)
        if error := answer.get("error"):
            raise StorageError(f"`{self._repository.uri}`: the Hub doesn't take {entry.path}: {error.get('message')}")
        return answer.get("actions") or {}

    def _lot(self, entry: Entry) -> list[Entry]:
        """The file and those that come after it, as far as one answer may serve."""
        lot, size = [entry], entry.size
        position = self._coming.index(entry) + 1 if entry in self._coming else len(self._coming)
        for following in self._coming[position : position + LOT - 1]:
            if (size := size + following.size) > LOT_BYTES:
                break
            lot.append(following)
        return lot

    def _asked(self, entries: list[Entry]) -> dict[str, tuple[float, dict[str, Any]]]:
        question = {
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": [{"oid": oid, "size": size} for oid, size in {entry.sha256: entry.size for entry in entries}.items()],
            "hash_algo": "sha256",
            "ref": {"name": self._branch},
        }
        url = f"{self._repository.url}.git/info/lfs/objects/batch"
        answers = self._repository.said(self._repository.call("POST", url, json=question, headers=MEDIA))["objects"]
        return {answer["oid"]: (time.monotonic(), answer) for answer in answers}


def _send(repository: Repository, action: dict[str, Any], content: Content) -> None:
    header = action.get("header") or {}
    url = repository.here(action["href"])
    if "chunk_size" not in header:
        _put(url, content, 0, content.entry.size)
        return
    size = int(header["chunk_size"])
    numbered = sorted((int(name), address) for name, address in header.items() if name.isdigit())  # 1, or 00001
    parts = []
    for number, (_, part) in enumerate(numbered):
        begin = number * size
        try:
            response = repository.patiently(partial(_put, repository.here(part), content, begin, begin + size))
        except Exception as error:
            if may_pass(error):  # and has been tried often enough: new addresses wouldn't help
                raise repository.explained(error) from error
            raise
        parts.append({"partNumber": number + 1, "etag": response.headers["etag"]})
    repository.call("POST", url, signed=True, json={"oid": content.entry.sha256, "parts": parts}, headers=MEDIA)


def _put(url: str, content: Content, start: int, stop: int) -> Any:
    """Send a part; its length is told beforehand, for the stores behind a Hub take no body of unknown length."""
    from huggingface_hub.utils import get_session, hf_raise_for_status

    length = min(stop, content.entry.size) - start
    response = get_session().put(url, content=content.read(start, stop), headers={"Content-Length": str(length)}, timeout=SILENCE)
    hf_raise_for_status(response)
    return response


def _expired(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code in (400, 403)
