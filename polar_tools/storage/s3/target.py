"""Write objects of a bucket: small ones at once, large ones in parts of which each thread holds one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from polar_tools.errors import PolarError, StorageError, UserError
from polar_tools.storage.base import INLINE, Content, Entry, Snapshot, Target
from polar_tools.storage.s3.answers import ABSENT, NO_BUCKET
from polar_tools.storage.s3.bucket import Bucket

PART = 8 << 20
"""Bytes of a part, where the file doesn't need larger ones."""
PARTS = 10_000
"""Parts of an object at most."""
KEY = 1024
"""Bytes of a key at most."""
LOT = 1000
"""Objects that one request may remove."""
NO_UPLOAD = "NoSuchUpload"


class S3Target(Target):
    """Objects below a prefix. An object is seen when it is whole, and carries its hashes as metadata."""

    named_by_content = True

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.url = f"s3://{bucket.name}/{bucket.below}".rstrip("/")
        self._known: dict[tuple[str, str], Entry] = {}

    @property
    def identity(self) -> dict[str, str]:
        """The endpoint: a bucket has no commits."""
        return {"endpoint": self._bucket.endpoint}

    def entries(self) -> tuple[Entry, ...]:
        """Every object; of those that are as they were at the last look, or as they were put, only the listing is asked for."""
        rows = [(row["Key"], row["ETag"]) for row in self._bucket.listed(tolerated=(NO_BUCKET,))]
        new = [row for row in rows if row not in self._known]
        looked = zip(new, self._bucket.look(key for key, _ in new), strict=True)
        self._known |= {row: about.entry for row, about in looked if about is not None}
        return tuple(self._known[row] for row in rows if row in self._known)

    def refuse(self, entries: Sequence[Entry]) -> None:
        """Raise UserError for names that are too long together with the prefix."""
        if long := [entry.path for entry in entries if len(self._key(entry).encode("utf-8", "replace")) > KEY]:
            raise UserError(f"{self.url}: a key has {KEY} bytes at most, and {len(long)} files would need more, such as {long[0]}")

    def create(self, source: Snapshot, whole: bool) -> bool:
        """Raise UserError where the bucket isn't there: whoever pays for it is to make it."""
        if self._bucket.call("list_objects_v2", (NO_BUCKET,), Prefix=self._bucket.below, MaxKeys=1) is None:
            raise self._bucket.no_bucket()
        return False

    def expect(self, entries: Sequence[Entry]) -> None:
        """Give up the uploads that an earlier run, killed, has left of these files: they would be paid for, and never seen."""
        if large := {self._key(entry) for entry in entries if entry.size > INLINE}:
            self._give_up(large)

    def put(self, content: Content) -> Entry:
        """Store an object; a second time overwrites the first, so that a lost answer does no harm."""
        key = self._key(content.entry)
        etag = self._put_parts(key, content) if content.entry.size > INLINE else self._put_whole(key, content)
        self._known[key, etag] = entry = replace(content.seen, lfs=False)
        return entry

    def commit(self, added: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        """Remove objects; those that were added are seen already."""
        for start in range(0, len(removed), LOT):
            keys = [{"Key": f"{self._bucket.below}{path}"} for path in removed[start : start + LOT]]
            answer = self._bucket.sure("delete_objects", Delete={"Objects": keys, "Quiet": True})
            if failed := [error for error in answer.get("Errors", []) if error.get("Code") not in ABSENT]:
                some = ", ".join(f"{error.get('Key')} ({error.get('Code')})" for error in failed[:3])
                raise StorageError(f"{self.url}: {len(failed)} objects couldn't be removed, such as {some}")

    def _key(self, entry: Entry) -> str:
        return f"{self._bucket.below}{entry.path}"

    def _put_whole(self, key: str, content: Content) -> str:
        body = content.whole()
        answer = self._bucket.sure("put_object", Key=key, Body=body, ContentMD5=_md5(body), Metadata=_metadata(content.seen))
        return str(answer["ETag"])

    def _put_parts(self, key: str, content: Content) -> str:
        try:
            begun = self._bucket.sure("create_multipart_upload", Key=key, Metadata=_metadata(content.entry))
        except PolarError:
            self._give_up({key})  # any whose answers were lost
            raise
        upload: dict[str, Any] = {"Key": key, "UploadId": begun["UploadId"]}
        try:
            if begun["attempts"] > 1:  # one whose answer was lost may have begun another
                self._give_up({key}, but=begun["UploadId"])
            parts = [self._put_part(upload, *part) for part in enumerate(_parts(content), 1)]
            return self._complete(upload, parts, content.seen)
        except BaseException:
            with suppress(PolarError):
                self._bucket.call("abort_multipart_upload", (NO_UPLOAD,), attempts=2, **upload)
            raise

    def _put_part(self, upload: dict[str, Any], number: int, body: bytearray) -> dict[str, Any]:
        answer = self._bucket.sure("upload_part", **upload, PartNumber=number, Body=body, ContentMD5=_md5(body))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _complete(self, upload: dict[str, Any], parts: list[dict[str, Any]], entry: Entry) -> str:
        answer = self._bucket.call("complete_multipart_upload", (NO_UPLOAD,), **upload, MultipartUpload={"Parts": parts})
        if answer is not None:
            return str(answer["ETag"])
        about = self._bucket.head(upload["Key"])  # the answer to an earlier attempt may be lost
        if about is None or not entry.agrees(about.entry):
            raise StorageError(f"{self.url}: the upload of {entry.path} is gone; run the same command again")
        return about.etag

    def _give_up(self, keys: Collection[str], but: str = "") -> None:
        """End unfinished uploads of exactly these keys; not every store lists them, nor to everyone."""
        with suppress(PolarError):
            for upload in self._unfinished(keys):
                if upload["UploadId"] != but:
                    self._bucket.call("abort_multipart_upload", (NO_UPLOAD,), Key=upload["Key"], UploadId=upload["UploadId"])

    def _unfinished(self, keys: Collection[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = self._bucket.sure("list_multipart_uploads", Prefix=self._bucket.below, **more)
            found += [upload for upload in page.get("Uploads", []) if upload["Key"] in keys]
            if not (page.get("IsTruncated") and page.get("NextKeyMarker")):
                return found
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}


def _parts(content: Content) -> Iterator[bytearray]:
    """The content in parts of a size that suffices, each in the memory of the one before it."""
    size = -(-content.entry.size // (PARTS * PART)) * PART
    part, filled = bytearray(min(size, content.entry.size)), 0
    for chunk in content.read():
        rest = memoryview(chunk)
        while rest:
            taken = rest[: len(part) - filled]
            part[filled : filled + len(taken)] = taken
            filled, rest = filled + len(taken), rest[len(taken) :]
            if filled == len(part):
                yield part
                filled = 0
    if filled:
        del part[filled:]
        yield part


def _metadata(entry: Entry) -> dict[str, str]:
    known = {"sha256": entry.sha256, "git-sha1": entry.git_sha1}
    return {name: value for name, value in known.items() if value}


def _md5(body: bytes | bytearray) -> str:
    """By which the store knows what arrived: all of them compare it."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
