"""One bucket, spoken to by boto3: every call is tried again while that may help, and what can't be helped is said in words.

boto3's own retries are off: they know neither Retry-After nor a listing that breaks off in its middle, and each of their attempts
would count for one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from polar_tools.errors import ConfigError, UserError
from polar_tools.patience import Patience
from polar_tools.storage.base import Access, Entry, endpoint_of
from polar_tools.storage.s3.answers import ABSENT, asked_for, code, explained, may_pass, no_bucket

PATIENCE = 60.0
"""Seconds of silence after which a connection counts as broken."""
ATTEMPTS = 8
"""How often a call is made that fails in a way that may pass."""
FIRST_ATTEMPTS = 3
"""How often, as long as nothing has ever answered: then it is rather the address that is wrong."""
CONNECTIONS = 64
"""That are kept open: no fewer than there may be threads."""
LOOKERS = 8
"""Threads that ask for the metadata of objects, which no listing tells."""
AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class Address(NamedTuple):
    """A bucket, and what the keys begin with, without a slash at the end."""

    bucket: str
    prefix: str


class Object(NamedTuple):
    """What a store tells of an object without sending it."""

    key: str
    etag: str
    entry: Entry


def parse(uri: str) -> Address:
    """The parts of an s3:// URI; raises ConfigError for what is none."""
    if "@" in uri.removeprefix("s3://").partition("/")[0]:  # not shown: what stands before it may be a secret
        raise ConfigError("an s3:// address is of the form s3://BUCKET/PREFIX, without keys: those belong into the environment")
    found = re.fullmatch(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])(?:/(.*))?", uri, re.DOTALL)
    if found is None:
        raise ConfigError(f"`{uri}` is not of the form s3://BUCKET/PREFIX")
    return Address(found[1], (found[2] or "").strip("/"))


class Bucket:
    """A bucket below a prefix. Several threads may use it at once."""

    def __init__(self, uri: str, access: Access) -> None:
        self.uri = uri
        self.name, self.prefix = parse(uri)
        self.below = f"{self.prefix}/" if self.prefix else ""
        self.endpoint = access.endpoint or "AWS"
        self._client = self._connected(access)
        self.endpoint = endpoint_of(Access(), self._client.meta.endpoint_url)
        self._patience, self._answered = Patience(uri), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, operation: str, tolerated: Collection[str] = (), attempts: int | None = None, **arguments: Any) -> dict[str, Any] | None:
        """The answer to an operation of boto3's client, None for an error whose code is `tolerated`; raises a PolarError."""
        number = 0
        while True:
            number += 1
            self._patience.pause()
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.name, **arguments)
            except Exception as error:
                self._answered = self._answered or bool(code(error))
                if code(error) in tolerated:
                    return None
                if number >= (attempts or ATTEMPTS if self._answered else FIRST_ATTEMPTS) or not may_pass(error):
                    raise self.explained(error) from error
                self.put_off(error, number)
            else:
                self._answered = True
                return {**answer, "attempts": number}

    def sure(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """As `call`, where every error is one."""
        answer = self.call(operation, **arguments)
        assert answer is not None
        return answer

    def listed(self, tolerated: Collection[str] = ()) -> list[dict[str, Any]]:
        """Key, Size and ETag of all that lies below the prefix, but for the empty objects that some tools make for folders."""
        rows: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while (page := self.call("list_objects_v2", tolerated, Prefix=self.below, **more)) is not None:
            rows += page.get("Contents", [])
            if not (page.get("IsTruncated") and page.get("NextContinuationToken")):
                break
            more = {"ContinuationToken": page["NextContinuationToken"]}
        return [row for row in rows if row["Size"] or not row["Key"].endswith("/")]

    def look(self, keys: Iterable[str]) -> Iterator[Object | None]:
        """What the store tells of each object, in order; None for one that isn't there."""
        with ThreadPoolExecutor(LOOKERS) as pool:
            yield from pool.map(self.head, keys)

    def head(self, key: str) -> Object | None:
        """What the store tells of an object; None where it isn't there."""
        about = self.call("head_object", ABSENT, Key=key)
        if about is None:
            return None
        said = {name.lower(): value for name, value in about.get("Metadata", {}).items()}  # some stores write Sha256
        sha256 = _hex(said.get("sha256"), 64)
        path = key.removeprefix(self.below) if key.startswith(self.below) else key.rpartition("/")[2]
        return Object(key, about["ETag"], Entry(path, about["ContentLength"], sha256, _hex(said.get("git-sha1"), 40)))

    def put_off(self, error: Exception, number: int) -> None:
        """Let no call of any thread begin before a pause after the `number`th attempt is over."""
        self._patience.put_off(number, asked_for(error))

    def explained(self, error: Exception) -> Exception:
        """What to say of an error."""
        return explained(error, self.uri, self.endpoint)

    def no_bucket(self) -> UserError:
        """The error for a bucket that isn't there."""
        return no_bucket(self.uri, self.endpoint)

    def _connected(self, access: Access) -> Any:
        try:
            import boto3
            import botocore.session
        except ImportError as error:
            raise UserError("s3:// needs boto3; install it with: pip install 'polar-tools[s3]'") from error
        endpoint = endpoint_of(access, "") if access.endpoint else None
        try:
            own = botocore.session.Session(profile=access.profile)
            return _client(boto3.Session(botocore_session=own), own.get_scoped_config().get("s3"), endpoint)
        except Exception as error:
            if type(error) is ValueError:  # which is all that botocore says of it
                raise UserError(f"`{self.uri}`: the endpoint (--endpoint, AWS_ENDPOINT_URL or the profile's) is no address") from error
            raise self.explained(error) from error


def _client(session: Any, own: Any, endpoint: str | None) -> Any:
    """A client that puts the bucket into the path unless the store is AWS, or the profile says how: few others have names for buckets."""
    from botocore.config import Config

    plain = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=PATIENCE,
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # Content-MD5 goes with what is put, which every store knows
    )
    client = session.client("s3", endpoint_url=endpoint, config=plain)
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(AWS) or (isinstance(own, dict) and "addressing_style" in own):
        return client
    client.close()
    return session.client("s3", endpoint_url=endpoint, config=plain.merge(Config(s3={"addressing_style": "path"})))


def _hex(value: str | None, length: int) -> str | None:
    return value if value and re.fullmatch(f"[0-9a-f]{{{length}}}", value) else None
