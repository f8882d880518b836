"""Large files of a Hub: the store that keeps them, and how they are asked for, sent and verified, at once or in parts."""

import hashlib
import itertools
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.http_server import PIECE, Answer, Part, Request, said
from tests.hub_git import Repository
from tests.hub_routes import Call, error, route

if TYPE_CHECKING:
    from tests.hub_server import Hub

SIGNATURE = "signed-for-a-minute"
OBJECT = re.compile(r"/(?P<repository>(?:models|datasets|spaces)/.+?)/(?P<oid>[0-9a-f]{64})(?:/(?P<upload>[0-9a-f]{32})/(?P<part>\d+))?")
ONE_PUT = 5 * 2**30  # S3 takes no more at once


@dataclass
class Upload:
    """An object that comes in parts: each is written to its place in one file, and hashed on arrival where the ones before are."""

    repository: Repository
    oid: str
    size: int
    part_size: int
    path: Path
    etags: dict[int, str] = field(default_factory=dict)
    hashed: dict[int, Any] = field(default_factory=lambda: {0: hashlib.sha256()})

    def receive(self, number: int, pieces: Iterable[memoryview]) -> str:
        """Write a part; returns its etag."""
        before = self.hashed.get(number - 1)
        state = before.copy() if before is not None else None
        with self.path.open("r+b", buffering=0) as file:
            file.seek((number - 1) * self.part_size)
            for piece in pieces:
                file.write(piece)
                if state is not None:
                    state.update(piece)
        self.hashed = {earlier: known for earlier, known in list(self.hashed.items()) if earlier < number}
        if state is not None:
            self.hashed[number] = state
        self.etags[number] = f'"{uuid.uuid4().hex}"'
        return self.etags[number]

    def sha256(self) -> str:
        """Of the whole; reads what came out of order."""
        done = next(number for number in itertools.count() if number + 1 not in self.hashed)
        state = self.hashed[done].copy()
        with self.path.open("rb", buffering=0) as file:
            file.seek(min(done * self.part_size, self.size))
            while piece := file.read(PIECE):
                state.update(piece)
        return str(state.hexdigest())


class Store:
    """Large objects by their sha256, as files. A file gets its name when its bytes are what they should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: dict[str, Upload] = {}
        (folder / "objects").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "incoming", ignore_errors=True)
        (folder / "incoming").mkdir()

    def path(self, oid: str) -> Path:
        return self.folder / "objects" / oid

    def incoming(self) -> Path:
        return self.folder / "incoming" / uuid.uuid4().hex

    def add(self, content: bytes | Path) -> str:
        """Keep an object; a file is linked."""
        if isinstance(content, bytes):
            oid = hashlib.sha256(content).hexdigest()
            if not self.path(oid).exists():
                self.receive(oid, [memoryview(content)])
            return oid
        with content.open("rb") as file:
            oid = hashlib.file_digest(file, "sha256").hexdigest()
        if not self.path(oid).exists():
            try:
                os.link(content, self.path(oid))
            except OSError:  # another file system
                self.path(oid).symlink_to(content.resolve())
        return oid

    def receive(self, oid: str, pieces: Iterable[memoryview]) -> bool:
        """Keep an object as it comes; whether its bytes are what `oid` says."""
        path, state = self.incoming(), hashlib.sha256()
        try:
            with path.open("wb", buffering=0) as file:
                for piece in pieces:
                    state.update(piece)
                    file.write(piece)
            if right := state.hexdigest() == oid:
                path.rename(self.path(oid))
            return right
        finally:
            path.unlink(missing_ok=True)


@route("POST", "/{prefix}{id}.git/info/lfs/objects/batch", needs="see")
def batch(call: Call) -> Answer:
    """Where to send which objects, or where to get them."""
    upload = call.data["operation"] == "upload"
    if upload:
        call.hub.check_write(call.token, call.repository)
    many = "multipart" in call.data.get("transfers", []) and upload
    rows = [_instructions(call, wanted["oid"], wanted["size"], upload, many) for wanted in call.data["objects"]]
    transfer = "multipart" if any("chunk_size" in row.get("actions", {}).get("upload", {}).get("header", {}) for row in rows) else "basic"
    return said({"transfer": transfer, "objects": rows, "hash_algo": "sha256"}, headers={"Content-Type": "application/vnd.git-lfs+json"})


def _instructions(call: Call, oid: str, size: int, upload: bool, many: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
    known = call.repository.lfs.get(oid)
    href = f"{call.hub.lfs}/{call.repository.kind}/{call.repository.id}/{oid}"
    if not re.fullmatch("[0-9a-f]{64}", oid) or (known is not None and known != size):
        return {**row, "error": {"code": 422, "message": "Invalid object"}}
    if not upload:
        missing = {"error": {"code": 404, "message": "Object does not exist"}}
        return {**row, **(missing if known is None else {"actions": {"download": {"href": f"{href}?X-Signature={SIGNATURE}"}}})}
    if known is not None:
        return row
    verify = {"href": f"{call.hub.endpoint}{call.request.path.removesuffix('/batch')}/verify"}
    if not many or size <= call.hub.multipart_above:
        return {**row, "actions": {"upload": {"href": f"{href}?X-Signature={SIGNATURE}"}, "verify": verify}}
    return {**row, "actions": {"upload": _multipart(call, oid, size, href), "verify": verify}}


def _multipart(call: Call, oid: str, size: int, href: str) -> dict[str, Any]:
    store, name, part_size = call.hub.store, uuid.uuid4().hex, call.hub.part_size
    store.uploads[name] = Upload(call.repository, oid, size, part_size, store.incoming())
    store.uploads[name].path.touch()
    parts = {f"{number:05}": f"{href}/{name}/{number}?X-Signature={SIGNATURE}" for number in range(1, -(-size // part_size) + 1)}
    complete = f"{call.hub.endpoint}/api/complete_multipart?uploadId={name}&signature={SIGNATURE}"
    return {"href": complete, "header": {"chunk_size": str(part_size), **parts}}


@route("POST", "/api/complete_multipart", needs="nothing")
def complete(call: Call) -> Answer:
    """Make one object of its parts; each must be named with the etag that it was given."""
    upload = call.hub.store.uploads.get(call.request.query.get("uploadId", [""])[0])
    if upload is None or call.request.query.get("signature") != [SIGNATURE]:
        return error(404, "", "NoSuchUpload")
    if upload.oid in upload.repository.lfs:  # asked twice: the first answer was lost
        return said({"success": True})
    named = {part["partNumber"]: str(part.get("etag", "")).strip('"') for part in call.data["parts"]}
    parts = -(-upload.size // upload.part_size)
    if named != {number: etag.strip('"') for number, etag in upload.etags.items()} or len(named) != parts or call.data["oid"] != upload.oid:
        return error(400, "", "InvalidPart: one or more of the specified parts could not be found, or its etag is another one")
    if upload.path.stat().st_size != upload.size or upload.sha256() != upload.oid:
        return error(400, "", "The content of the upload doesn't match its sha256")
    upload.path.rename(call.hub.store.path(upload.oid))
    upload.repository.lfs[upload.oid] = upload.size
    return said({"success": True})


@route("POST", "/{prefix}{id}.git/info/lfs/objects/verify", needs="write")
def verify(call: Call) -> Answer:
    """Whether an object has come."""
    if call.repository.lfs.get(call.data["oid"]) != call.data["size"]:
        return error(400, "", "The object was not uploaded, or its size is another one")
    return said({})


@route("POST", "/api/{kind}/{id}/lfs-files/duplicate", needs="read")
def duplicate(call: Call) -> Answer:
    """Give objects of this repository to another one."""
    target = call.data["target"]
    other = call.hub.seen(call.token, f"{target['type']}s", target["name"])
    call.hub.check_write(call.token, other)
    wanted = [file["sha256"] for file in call.data["files"]]
    other.lfs |= {oid: call.repository.lfs[oid] for oid in wanted if oid in call.repository.lfs}
    return said({"failed": [{"sha256": oid, "error": "not found"} for oid in wanted if oid not in other.lfs]})


def answer(hub: "Hub", request: Request) -> Answer:
    """What the store itself says: it knows signatures and nothing else."""
    found = OBJECT.fullmatch(request.where)
    if "authorization" in request.headers:
        return _refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
    if request.query.get("X-Signature") != [SIGNATURE] or found is None or found["repository"] not in hub.repositories:
        return _refusal(403, "AccessDenied", "Access Denied")
    repository, oid = hub.repositories[found["repository"]], found["oid"]
    if request.method == "PUT":
        return _put(hub, request, repository, oid, found)
    if oid not in repository.lfs:
        return _refusal(404, "NoSuchKey", "The specified key does not exist.")
    return Answer(body=Part.whole(hub.store.path(oid)), headers={"Accept-Ranges": "bytes", "ETag": f'"{oid}"'})


def _put(hub: "Hub", request: Request, repository: Repository, oid: str, found: re.Match[str]) -> Answer:
    if request.body.chunked:
        return _refusal(501, "NotImplemented", "A header you provided implies functionality that is not implemented: Transfer-Encoding")
    if request.body.length > ONE_PUT:
        return _refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    if found["upload"] is not None:  # parts are kept in their places: none may be longer than it was said
        upload, part = hub.store.uploads.get(found["upload"]), int(found["part"])
        if upload is None or not upload.path.exists():
            return _refusal(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        if request.body.length > upload.part_size:
            return _refusal(400, "EntityTooLarge", "The part is longer than it was said")
        return Answer(headers={"ETag": upload.receive(part, request.body.pieces)})
    if not hub.store.receive(oid, request.body.pieces):
        return _refusal(400, "BadDigest", "The sha256 you specified did not match what we received.")
    repository.lfs[oid] = request.body.length
    return Answer(headers={"ETag": f'"{uuid.uuid4().hex}"'})


def _refusal(status: int, code: str, message: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})
