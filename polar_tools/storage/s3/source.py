"""Read objects of a bucket, each as it was when it was listed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from http import HTTPStatus
from typing import Any

from polar_tools.errors import PolarError, StorageError, UserError
from polar_tools.storage.base import CHUNK, Entry, Snapshot
from polar_tools.storage.s3.answers import ABSENT, may_pass
from polar_tools.storage.s3.bucket import ATTEMPTS, Bucket, Object

CHANGED = (*ABSENT, "412", "PreconditionFailed")


def snapshot(bucket: Bucket) -> Snapshot:
    """All objects below the prefix, or the one that the prefix names; raises UserError where there is neither."""
    keys = [row["Key"] for row in bucket.listed()]
    if not keys and bucket.prefix and bucket.head(bucket.prefix) is not None:
        keys = [bucket.prefix]
    if not keys:
        raise UserError(f"`{bucket.uri}`: there is no object of that name, and none below it")
    objects = {about.entry.path: about for about in bucket.look(keys) if about is not None}
    if len(objects) < len(keys):
        raise StorageError(f"`{bucket.uri}` changed while it was listed; run the same command again")
    state = json.dumps(sorted((path, about.etag) for path, about in objects.items()))
    identity = {"source": bucket.uri, "etags": hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()}
    entries = tuple(objects[path].entry for path in sorted(objects))
    return Snapshot(identity, entries, partial(_read, bucket, objects), endpoint=bucket.endpoint)


def _read(bucket: Bucket, objects: Mapping[str, Object], entry: Entry, start: int) -> Iterator[bytes]:
    """The bytes of an object from `start`; where the connection breaks, the next one goes on from there."""
    position, attempt = start, 0
    while position < entry.size:
        attempt += 1
        try:
            for chunk in _body(bucket, objects[entry.path], position):
                position, attempt = position + len(chunk), 0
                yield chunk
            return
        except PolarError:
            raise
        except Exception as error:
            if not may_pass(error):
                raise bucket.explained(error) from error
            if attempt == ATTEMPTS:
                why = f"the connection broke {ATTEMPTS} times in one place; run the same command again, whole files stay"
                raise StorageError(f"{entry.path}: {why}") from error
            bucket.put_off(error, attempt + 1)


def _body(bucket: Bucket, about: Object, position: int) -> Iterator[bytes]:
    resume: dict[str, Any] = {"Range": f"bytes={position}-"} if position else {}
    answer = bucket.call("get_object", CHANGED, Key=about.key, IfMatch=about.etag, **resume)
    if answer is None:
        raise StorageError(f"{about.entry.path} changed while it was copied; run the same command again")
    with closing(answer["Body"]) as body:
        if resume and answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PARTIAL_CONTENT:
            raise StorageError(f"{about.entry.path}: the store can't send the rest of an object; run the same command again")
        yield from body.iter_chunks(CHUNK)
