"""s3://BUCKET/PREFIX: the objects below a prefix of an S3 bucket, or a single one; of AWS, MinIO, Ceph, SeaweedFS and the like.

Where nothing else is said, endpoint, region and keys are found as boto3 finds them: the environment (AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_PROFILE and so on), then the files of `aws configure`. What was copied there carries its sha256 as metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polar_tools.errors import ConfigError
from polar_tools.storage.base import Access, Placement, Snapshot, Target
from polar_tools.storage.s3.bucket import parse

SCHEME = "s3"


def check(source: str, sha256: str | None) -> None:
    """Raise ConfigError unless `source` names a bucket."""
    parse(source)
    if sha256 is not None:
        raise ConfigError(f"`{source}`: sha256 is for pypi:// sources; an object carries its own as metadata")


def local_files(source: str) -> list[Path]:
    """None: the source is remote."""
    return []


@contextmanager
def open(source: str, sha256: str | None, access: Access) -> Iterator[Snapshot]:
    """The objects below the prefix as they are now; one that changes before it is read ends the copy."""
    from polar_tools.storage.s3.bucket import Bucket
    from polar_tools.storage.s3.source import snapshot

    check(source, sha256)
    with Bucket(source, access) as bucket:
        yield snapshot(bucket)


@contextmanager
def receive(target: str, access: Access, placement: Placement) -> Iterator[Target]:
    """The prefix of a bucket, which must be there."""
    from polar_tools.storage.s3.bucket import Bucket
    from polar_tools.storage.s3.target import S3Target

    if placement.private:
        raise ConfigError(f"`{target}`: --private is for repositories of a Hub; who may read a bucket, its own rules say")
    with Bucket(target, access) as bucket:
        yield S3Target(bucket)
