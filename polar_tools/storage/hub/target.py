"""Write a repository of a Hub: large files at once, small ones with the commit, and no commit twice."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from polar_tools.errors import PolarError, UserError
from polar_tools.storage.base import COMMIT_FILES, INLINE, SCRATCH, Content, Entry, Hashes, Placement, Snapshot, Target
from polar_tools.storage.hub.lfs import Uploads
from polar_tools.storage.hub.repository import ATTEMPTS, Repository, may_pass

SAMPLE = 512
"""Bytes of a file's beginning by which a Hub tells text from the rest."""
SLICE = 3 << 18
"""Bytes that are turned into base64 at a time: whole groups of three."""
SENDERS = 4
"""Threads that send those small files which the Hub wants as LFS."""
STALE = 412
"""The answer to a commit whose parent isn't the branch's newest any more."""


class HubTarget(Target):
    """A branch of a repository."""

    named_by_content = True
    own_files = (".gitattributes",)

    def __init__(self, repository: Repository, revision: str, placement: Placement) -> None:
        self._repository, self._revision, self._placement = repository, revision, placement
        self._head: str | None = None
        self._held: dict[str, bytes] = {}
        self._uploads = Uploads(repository, revision)
        self._lock = threading.Lock()
        self._said = placement.message or "Copy"
        self.public = not placement.private

    @property
    def url(self) -> str:  # type: ignore[override]
        """The repository's page."""
        at = "" if self._revision == "main" else f"/tree/{quote(self._revision)}"
        return f"{self._repository.url}{at}"

    @property
    def identity(self) -> dict[str, str]:
        """The endpoint and the commit."""
        return {"endpoint": self._repository.endpoint, "commit": self._head or ""}

    def entries(self) -> tuple[Entry, ...]:
        """What is at the head of the branch; the head is what the next commit must follow."""
        info = self._repository.info(self._revision)
        self._head = info.get("sha") if info else None
        self.public = self.public and not (info and info.get("private"))
        return self._repository.tree(self._head) if self._head else ()

    def create(self, source: Snapshot, whole: bool) -> bool:
        """Make repository and branch where they aren't there; within one account by a copy on the server, history and all.

        Raises UserError where --private was asked for and the repository is there and public.
        """
        self._said = self._placement.message or f"Copy {source.identity['source']} {source.identity.get('commit', '')}".strip()
        info = self._repository.info()
        new = False
        if info is None:
            new = (whole and self._placement.message is None and self._duplicate(source)) or self._make(source)
        elif self._placement.private and not info.get("private"):
            raise UserError(f"{self._repository.url} is there already and public; make it private on the Hub, or leave --private out")
        if self._revision == "main" or self._repository.info(self._revision) is not None:
            return new
        self._repository.call("POST", self._at("branch"), json={})
        return True

    def take(self, source: Snapshot, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Large files that the Hub copies itself, within one account; those that it can't are sent like all others."""
        theirs, taken = source.origin, list[Entry]()
        if not isinstance(theirs, Repository) or _account(theirs) != _account(self._repository):
            return ()
        large = [entry for entry in entries if entry.lfs]
        for start in range(0, len(large), COMMIT_FILES):
            some = large[start : start + COMMIT_FILES]
            try:
                self._head = self._copied(theirs, source.identity["commit"], some)
            except PolarError:  # a wish to stop, for one
                raise
            except Exception:
                break
            taken += some
        return tuple(taken)

    def expect(self, entries: Sequence[Entry]) -> None:
        """Large ones are asked for in lots."""
        self._uploads.expect(entries)

    def put(self, content: Content) -> Entry:
        """Upload a large file, hold a small one; both are seen from the next commit on."""
        if content.entry.lfs or content.entry.size > INLINE:
            self._uploads.send(content)
            return _large(content.entry)
        data = content.whole()
        with self._lock:
            self._held[content.entry.path] = data
        return content.seen

    def commit(self, added: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        """One commit, sent again only where listing the branch shows that it isn't there."""
        held = {entry.path: self._held.pop(entry.path) for entry in added if entry.path in self._held}
        large = self._send_large(held) if held else set()
        entries = [_large(entry) if entry.path in large else entry for entry in added]
        for number in range(1, ATTEMPTS + 1):
            try:
                return self._commit(entries, held, removed)
            except Exception as error:
                if number == ATTEMPTS or not (may_pass(error) or _is_stale(error)):
                    raise self._repository.explained(error) from error
                self._repository.wait_after(error, number)
                if self._arrived(entries, removed):
                    return None

    def branch(self, name: str) -> Target:
        """The repository at another branch."""
        return HubTarget(self._repository, name, self._placement)

    def _copied(self, theirs: Repository, commit: str, entries: Sequence[Entry]) -> str:
        """The commit that a copy on the server makes."""
        from huggingface_hub import CommitOperationCopy, HfApi

        source = {"src_repo_id": theirs.address.repo_id, "src_repo_type": theirs.address.repo_type, "src_revision": commit}
        operations = [CommitOperationCopy(src_path_in_repo=entry.path, path_in_repo=entry.path, **source) for entry in entries]
        made = HfApi(self._repository.endpoint, token=self._repository.token).create_commit(
            self._repository.address.repo_id,
            operations,
            commit_message=self._said,
            repo_type=self._repository.address.repo_type,
            revision=self._revision,
            parent_commit=self._head,
        )
        return str(made.oid)

    def tag(self, name: str) -> None:
        """Let a tag mean the head of this branch; a branch that was made for that goes."""
        tags = self._repository.refs()["tags"]
        if name in tags:
            self._repository.call("DELETE", f"{self._repository.api}/tag/{quote(name, safe='')}")
        self._repository.call("POST", f"{self._repository.api}/tag/{quote(self._head or 'main', safe='')}", json={"tag": name})
        if self._revision.startswith(SCRATCH):
            self._repository.call("DELETE", self._at("branch"))

    def _at(self, what: str) -> str:
        return f"{self._repository.api}/{what}/{quote(self._revision, safe='')}"

    def _commit(self, entries: Sequence[Entry], held: dict[str, bytes], removed: Sequence[str]) -> None:
        body = _lines(self._said, self._head, entries, held, removed)
        response = self._repository.once("POST", self._at("commit"), content=body, headers={"Content-Type": "application/x-ndjson"})
        self._head = self._repository.said(response)["commitOid"]

    def _arrived(self, entries: Sequence[Entry], removed: Sequence[str]) -> bool:
        """Whether the branch is already as the commit would make it, whoever committed that."""
        there = {entry.path: entry for entry in self.entries()}
        return not there.keys() & set(removed) and all(entry.path in there and entry.agrees(there[entry.path]) for entry in entries)

    def _send_large(self, held: dict[str, bytes]) -> set[str]:
        """Of small files, upload those that the Hub wants as LFS, by its rules in the branch; returns their paths."""
        files = [{"path": path, "sample": base64.b64encode(data[:SAMPLE]).decode(), "size": len(data)} for path, data in held.items()]
        answer = self._repository.said(self._repository.call("POST", self._at("preupload"), json={"files": files}))
        large = {file["path"] for file in answer["files"] if file["uploadMode"] == "lfs"}
        contents = [Held(path, held[path]) for path in sorted(large)]
        uploads = Uploads(self._repository, self._revision)  # of their own: others may be on their way meanwhile
        uploads.expect([content.entry for content in contents])
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(uploads.send, contents))
        return large

    def _make(self, source: Snapshot) -> bool:
        """Whether the repository is new; where the answer was lost, or someone else was faster, it counts as old."""
        owner, name = self._repository.address.repo_id.split("/")
        kind = self._repository.address.repo_type
        about = {"name": name, "organization": owner, "type": kind, "visibility": "private" if self._placement.private else "public"}
        if kind == "space":
            about["sdk"] = _sdk(source)
        try:
            self._repository.call("POST", f"{self._repository.endpoint}/api/repos/create", json=about)
        except PolarError:
            if self._repository.info() is None:
                raise
            return False
        return True

    def _duplicate(self, source: Snapshot) -> bool:
        """Whether the Hub itself could make the copy: one endpoint, one token, one owner."""
        ours, theirs = self._repository, source.origin
        if not isinstance(theirs, Repository) or _account(ours) != _account(theirs):
            return False
        if (ours.address.repo_type, ours.address.revision) != (theirs.address.repo_type, theirs.address.revision):
            return False
        from huggingface_hub import HfApi

        try:
            HfApi(ours.endpoint, token=ours.token).duplicate_repo(
                theirs.address.repo_id, ours.address.repo_id, repo_type=ours.address.repo_type, private=self._placement.private
            )
        except PolarError:
            raise
        except Exception:
            return ours.info() is not None  # what it couldn't do, or not at once, is done file by file
        return True


class Held:
    """A small file as Content, out of memory."""

    def __init__(self, path: str, data: bytes) -> None:
        hashes = Hashes(Entry(path, len(data)))
        hashes.update(data)
        self.entry = self.seen = hashes.known(Entry(path, len(data)))
        self._data = data

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to `stop`."""
        yield self._data[start:stop]

    def whole(self) -> bytes:
        """All of it."""
        return self._data


def _lines(message: str, parent: str | None, entries: Sequence[Entry], held: dict[str, bytes], removed: Sequence[str]) -> Iterator[bytes]:
    """A commit as the Hub reads it, one JSON object a line; contents as base64, turned so piece by piece."""
    yield _line("header", {"summary": message, "description": "", **({"parentCommit": parent} if parent else {})})
    for path in removed:
        yield _line("deletedFile", {"path": path})
    for entry in entries:
        if entry.lfs:
            yield _line("lfsFile", {"path": entry.path, "algo": "sha256", "oid": entry.sha256, "size": entry.size})
        else:
            about = json.dumps({"path": entry.path, "encoding": "base64"}).encode()
            yield b'{"key": "file", "value": ' + about[:-1] + b', "content": "'
            data = held[entry.path]
            for start in range(0, len(data), SLICE):
                yield base64.b64encode(data[start : start + SLICE])
            yield b'"}}\n'


def _line(key: str, value: dict[str, Any]) -> bytes:
    return json.dumps({"key": key, "value": value}).encode() + b"\n"


def _large(entry: Entry) -> Entry:
    """The entry as one that LFS keeps, whose blob id in git is no longer that of the content."""
    return Entry(entry.path, entry.size, entry.sha256, lfs=True)


def _account(repository: Repository) -> tuple[str, str | None, str]:
    """Endpoint, token and owner."""
    return repository.endpoint, repository.token, repository.address.repo_id.partition("/")[0]


def _is_stale(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code == STALE


def _sdk(source: Snapshot) -> str:
    """The sdk of a space, which its README names; raises UserError where it doesn't."""
    import yaml

    readme = next((entry for entry in source.entries if entry.path == "README.md"), None)
    text = b"".join(source.read(readme, 0)).decode(errors="replace") if readme else ""
    front = text.split("---")[1] if text.startswith("---") else ""
    try:
        sdk = (yaml.safe_load(front) or {}).get("sdk")
    except (yaml.YAMLError, AttributeError):
        sdk = None
    if not sdk:
        raise UserError("a space is made with an `sdk`, and the source's README.md names none in its front matter")
    return str(sdk)
