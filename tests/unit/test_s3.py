"""The S3 store by itself, against SeaweedFS: names, sizes, what is refused and how it is said, what breaks and how it goes on."""

import hashlib
import os
import sys
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from polar_tools import patience
from polar_tools.errors import ConfigError, IntegrityError, PolarError, StorageError, UserError
from polar_tools.storage import s3 as store
from polar_tools.storage.base import INLINE, Access, Entry, Placement, Snapshot, Target
from polar_tools.storage.s3 import bucket as calls
from polar_tools.storage.s3 import target as writing
from tests import s3_server
from tests.s3_server import S3

HERE, PLAIN = Access(), Placement()
LARGE = Random(0).randbytes(41 << 20)
MEDIUM = LARGE[: INLINE + 1]


class Bytes:
    """Content out of memory, which ends with an error after `failing` bytes."""

    def __init__(self, path: str, data: bytes, failing: int | None = None, error: type[BaseException] = IntegrityError) -> None:
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() if len(data) <= INLINE else None
        self.seen = Entry(path, len(data), sha256(data), git, lfs=True)
        self.entry = Entry(path, len(data), sha256(data) if len(data) > INLINE else None, lfs=True)
        self._data, self._failing, self._error = data, failing, error

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        for at in range(start, len(self._data) if stop is None else stop, 999_983):
            if self._failing is not None and at >= self._failing:
                raise self._error("the source broke")
            yield self._data[at : at + 999_983]

    def whole(self) -> bytes:
        return self._data


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server.running() as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, reached through the proxy by the keys of its owner."""
    s3.requests.clear()
    s3.faults.clear()
    login(monkeypatch, s3.environment(proxy=True))
    return s3.bucket()


def login(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def put(uri: str, files: dict[str, bytes], access: Access = HERE) -> tuple[Entry, ...]:
    """Put all files by several threads, and return what a new look at the target tells."""
    with store.receive(uri, access, PLAIN) as target, ThreadPoolExecutor(4) as pool:
        target.expect([Bytes(path, data).entry for path, data in files.items()])
        stored = list(pool.map(target.put, [Bytes(path, data) for path, data in files.items()]))
        assert {*target.entries()} >= {*stored}
    with store.receive(uri, access, PLAIN) as target:
        return target.entries()


def read(uri: str, start: int = 0, access: Access = HERE) -> dict[str, bytes]:
    with store.open(uri, None, access) as snapshot:
        return {entry.path: b"".join(snapshot.read(entry, start)) for entry in snapshot.entries}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def asked(s3: S3, method: str, where: str = "") -> int:
    return sum(request.method == method and where in request.where for request in s3.requests)


NAMES = [
    "config.json",
    "folder/below/file with spaces",
    "p+l%u#s?&=;,:@$!*'()~[]{}<>\"`|^.txt",
    unicodedata.normalize("NFC", "nfc/é가.bin"),
    unicodedata.normalize("NFD", "nfd/é가.bin"),
    "한글/日本語/🤗.txt",
    "%2F%20+",
    "/".join(["long" * 55] * 4),
    "x" * 255,
]


def test_names_arrive_byte_for_byte(s3: S3, bucket: str) -> None:
    files = {name: name.encode() for name in NAMES}
    listed = put(f"s3://{bucket}/a b+c/é", files)
    assert {entry.path: entry.sha256 for entry in listed} == {name: sha256(data) for name, data in files.items()}
    assert s3.objects(bucket) == {f"a b+c/é/{name}": data for name, data in files.items()}
    assert read(f"s3://{bucket}/a b+c/é/") == files
    with store.open(f"s3://{bucket}/a b+c/é", None, HERE) as snapshot:
        assert [entry.path for entry in snapshot.entries] == sorted(files)
    with store.receive(f"s3://{bucket}/a b+c/é", HERE, PLAIN) as target:
        target.commit([], sorted(files))
    assert s3.objects(bucket) == {}


def test_sizes_from_nothing_to_many_parts(s3: S3, bucket: str) -> None:
    files = {"empty": b"", "one": b"1", "inline": LARGE[:INLINE], "medium": MEDIUM, "exact": LARGE[: 2 * writing.PART], "large": LARGE}
    listed = put(f"s3://{bucket}", files)
    for entry in listed:
        assert entry.agrees(Bytes(entry.path, files[entry.path]).seen)
        assert (entry.git_sha1 is not None) == (entry.size <= INLINE)
    assert len(listed) == len(files)
    assert s3.objects(bucket) == files
    assert s3.uploads(bucket) == []
    assert asked(s3, "PUT", "large?") == 6  # the last of them is shorter
    for start in (0, 1, INLINE):
        assert read(f"s3://{bucket}", start) == {path: data[start:] for path, data in files.items()}


def test_a_second_look_asks_only_for_what_is_new(s3: S3, bucket: str) -> None:
    with store.receive(f"s3://{bucket}/a", HERE, PLAIN) as target:
        target.put(Bytes("mine", b"1"))
        s3.client().put_object(Bucket=bucket, Key="a/other", Body=b"2")
        for _ in range(2):
            assert {entry.path: entry.sha256 for entry in target.entries()} == {"mine": sha256(b"1"), "other": None}
        assert (asked(s3, "HEAD", "mine"), asked(s3, "HEAD", "other")) == (0, 1)
        s3.client().put_object(Bucket=bucket, Key="a/mine", Body=b"3")
        assert {entry.path: entry.sha256 for entry in target.entries()} == {"mine": None, "other": None}


def test_a_single_object_is_a_source_too(s3: S3, bucket: str) -> None:
    s3.client().put_object(Bucket=bucket, Key="a/b.json", Body=b"{}", Metadata={"sha256": "what somebody wrote", "git-sha1": "a" * 40})
    with store.open(f"s3://{bucket}/a/b.json", None, HERE) as snapshot:
        assert snapshot.entries == (Entry("b.json", 2, None, "a" * 40),)
        assert b"".join(snapshot.read(snapshot.entries[0], 1)) == b"}"


def test_what_stands_for_a_folder_is_no_file(s3: S3, bucket: str) -> None:
    for key in ("a/", "a/b/", "a/b/c", "ab"):
        s3.client().put_object(Bucket=bucket, Key=key, Body=b"" if key.endswith("/") else b"c")
    assert read(f"s3://{bucket}/a") == {"b/c": b"c"}


def test_a_listing_has_pages(s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = calls.Bucket.call

    def in_small_pages(self: calls.Bucket, operation: str, *positional: Any, **arguments: Any) -> Any:
        return call(self, operation, *positional, **arguments, **({"MaxKeys": 3} if operation == "list_objects_v2" else {}))

    monkeypatch.setattr(calls.Bucket, "call", in_small_pages)
    monkeypatch.setattr(writing, "LOT", 4)
    files = {f"é {number}+": b"" for number in range(10)}
    put(f"s3://{bucket}/a", files)
    s3.requests.clear()
    with store.receive(f"s3://{bucket}/a", HERE, PLAIN) as target:
        assert sorted(entry.path for entry in target.entries()) == sorted(files)
        assert asked(s3, "GET", "list-type") == 4
        target.commit([], [*files])
        assert target.entries() == ()
    assert asked(s3, "POST", "delete") == 3


def test_the_state_of_a_source_is_pinned(s3: S3, bucket: str) -> None:
    def identity() -> dict[str, str]:
        with store.open(f"s3://{bucket}/a", None, HERE) as snapshot:
            return snapshot.identity

    put(f"s3://{bucket}/a", {"b": b"1", "c": b"1"})
    first = identity()
    assert first == identity()
    assert first["source"] == f"s3://{bucket}/a"
    put(f"s3://{bucket}/a", {"b": b"2"})
    assert first != identity()


@pytest.mark.parametrize("how", ["other", "gone", "after a break"])
def test_an_object_that_changes_ends_the_copy(s3: S3, bucket: str, how: str) -> None:
    put(f"s3://{bucket}", {"b": LARGE})
    with store.open(f"s3://{bucket}", None, HERE) as snapshot:
        chunks = snapshot.read(snapshot.entries[0], 0)
        if how == "after a break":
            s3.fault("cut", "/b", method="GET")
            assert next(chunks) == LARGE[: 1 << 20]
        if how == "gone":
            s3.client().delete_object(Bucket=bucket, Key="b")
        else:
            s3.client().put_object(Bucket=bucket, Key="b", Body=LARGE[::-1])
        with pytest.raises(StorageError, match="b changed while it was copied; run the same command again"):
            list(chunks)


@pytest.mark.parametrize("error", [IntegrityError, KeyboardInterrupt])
def test_what_breaks_off_leaves_nothing(s3: S3, bucket: str, error: type[BaseException]) -> None:
    put(f"s3://{bucket}", {"b": b"from before"})
    with store.receive(f"s3://{bucket}", HERE, PLAIN) as target:
        for failing in (0, 20 << 20, 39 << 20):
            with pytest.raises(error):
                target.put(Bytes("b", LARGE, failing, error))
    assert s3.objects(bucket) == {"b": b"from before"}
    assert s3.uploads(bucket) == []


def test_uploads_that_a_killed_run_left_are_given_up(s3: S3, bucket: str) -> None:
    for key in ("a/b c+ü", "a/b c+ü2", "b c+ü"):
        s3.client().create_multipart_upload(Bucket=bucket, Key=key)
    with store.receive(f"s3://{bucket}/a", HERE, PLAIN) as target:
        target.expect([Bytes("b c+ü", b"small").entry])
        assert len(s3.uploads(bucket)) == 3
        target.expect([Bytes("b c+ü", MEDIUM).entry])
    assert {upload["Key"] for upload in s3.uploads(bucket)} == {"a/b c+ü2", "b c+ü"}


def test_names_that_are_too_long_are_refused(bucket: str) -> None:
    with store.receive(f"s3://{bucket}/é", HERE, PLAIN) as target:
        target.refuse([Entry("é" * 510 + "x", 1)])
        with pytest.raises(UserError, match="1024 bytes"):
            target.refuse([Entry("é" * 511, 1)])


EVERYWHERE = [
    ("GET", "list-type"),
    ("HEAD", "small"),
    ("GET", "small"),
    ("GET", "large"),
    ("PUT", "small"),
    ("POST", "uploads"),
    ("PUT", "partNumber=1"),
    ("PUT", "partNumber=3"),
    ("POST", "uploadId"),
    ("POST", "delete"),
]


@pytest.mark.parametrize("kind", ["busy", "limited", "cut", "lost", "slow"])
def test_what_goes_wrong_for_a_while_is_done_again(s3: S3, bucket: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(writing, "PART", 5 << 20)
    s3.pause = 0.1
    for method, where in EVERYWHERE[:2] if kind == "limited" else EVERYWHERE:
        s3.fault(kind, where, times=1 if kind in ("limited", "slow") else 2, method=method)
    files = {"small": b"small", "large": LARGE[: 11 << 20]}
    began = time.monotonic()
    listed = put(f"s3://{bucket}/a", files)
    assert {entry.path: entry.sha256 for entry in listed} == {path: sha256(data) for path, data in files.items()}
    assert read(f"s3://{bucket}/a") == files
    assert s3.uploads(bucket) == []
    with store.receive(f"s3://{bucket}/a", HERE, PLAIN) as target:
        target.commit([], ["small", "large"])
    assert s3.objects(bucket) == {}
    assert s3.faults == []
    if kind == "limited":
        assert time.monotonic() - began >= 2, "it asked twice for a pause of a second"


def test_a_body_goes_on_where_it_broke(s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    put(f"s3://{bucket}", {"b": LARGE})
    s3.requests.clear()
    s3.fault("cut", "/b", times=3, method="GET")
    assert read(f"s3://{bucket}", 7) == {"b": LARGE[7:]}
    sent = [request.sent for request in s3.requests if request.where.endswith("/b") and request.method == "GET"]
    assert len(sent) == 4
    assert sum(sent) < len(LARGE) + (8 << 20)


def test_a_store_that_never_gets_well_ends_the_copy(s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ATTEMPTS", 3)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    put(f"s3://{bucket}", {"b": b"b"})
    s3.fault("lost", "/b", times=50, method="GET")
    with pytest.raises(StorageError, match=f"{s3.proxy} can't be reached"):
        read(f"s3://{bucket}")


def test_bytes_that_the_stores_own_checksum_does_not_fit_are_an_error(s3: S3, bucket: str) -> None:
    s3.client().put_object(Bucket=bucket, Key="b", Body=b"of another tool", ChecksumAlgorithm="SHA256")
    s3.fault("wrong", "/b", method="GET")
    with pytest.raises(IntegrityError, match="checksum"):
        read(f"s3://{bucket}")


def put_one(target: Target) -> Any:
    target.create(Snapshot({}, (), lambda entry, start: iter(())), whole=True)
    return target.put(Bytes("b", b"b"))


CASES: dict[str, tuple[dict[str, str], Access, str, type[PolarError], str]] = {
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "another-secret"}, HERE, "s3://{bucket}", UserError, "doesn't accept the keys"),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "another-key"}, HERE, "s3://{bucket}", UserError, "doesn't accept the keys"),
    "no keys": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, HERE, "s3://{bucket}", UserError, "no usable keys"),
    "half a login": ({"AWS_SECRET_ACCESS_KEY": ""}, HERE, "s3://{bucket}", UserError, "no usable keys"),
    "no bucket": ({}, HERE, "s3://nowhere-at-all", UserError, "no such bucket at .*make the bucket first"),
    "no profile": ({}, Access(profile="nobody"), "s3://{bucket}", UserError, "no AWS profile"),
    "own no profile": ({"AWS_PROFILE": "nobody"}, HERE, "s3://{bucket}", UserError, "no AWS profile"),
    "unreachable": ({}, Access(endpoint="http://127.0.0.1:9"), "s3://{bucket}", StorageError, "127.0.0.1:9 can't be reached"),
    "password": ({}, Access(endpoint="http://me:another-secret@127.0.0.1:9"), "s3://{bucket}", UserError, "without user or password"),
    "own password": (
        {"AWS_ENDPOINT_URL": "http://me:another-secret@127.0.0.1:9"},
        HERE,
        "s3://{bucket}",
        UserError,
        "without user or pass",
    ),
    "no address": ({"AWS_ENDPOINT_URL": "another-secret"}, HERE, "s3://{bucket}", UserError, "is no address"),
    "keys in the address": ({}, HERE, "s3://admin-key:another-secret@{bucket}/a", ConfigError, "without keys"),
    "a line break": ({"AWS_ACCESS_KEY_ID": "another-\nkey"}, HERE, "s3://{bucket}", StorageError, "can't be reached"),
}


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_not_possible_is_said_in_words(s3: S3, bucket: str, case: str, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, access, uri, kind, words = CASES[case]
    monkeypatch.setattr(calls, "FIRST_ATTEMPTS", 1)
    login(monkeypatch, {name: value for name, value in {**s3.environment(), **environment}.items() if value})
    with pytest.raises(kind, match=words) as caught:
        if side == "source":
            read(uri.format(bucket=bucket), access=access)
        else:
            with store.receive(uri.format(bucket=bucket), access, PLAIN) as target:
                put_one(target)
    said = str(caught.value)
    assert not [secret for secret in ("secret", "another-key", "admin-key", "Signature=", "X-Amz") if secret in said], said


def test_a_bucket_that_is_not_there_has_no_entries(s3: S3, bucket: str) -> None:
    with store.receive("s3://nowhere-at-all/a", HERE, PLAIN) as target:
        assert target.entries() == ()
    assert "nowhere-at-all" not in str(s3.client().list_buckets()["Buckets"])


def test_nothing_below_the_prefix_is_an_error(s3: S3, bucket: str) -> None:
    put(f"s3://{bucket}", {"ab/c": b"c"})
    for uri in (f"s3://{bucket}/a", f"s3://{bucket}/ab/c/d"):
        with pytest.raises(UserError, match="no object of that name, and none below it"):
            read(uri)


def test_keys_that_may_only_read(s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"s3://{bucket}", {"b": b"b"})
    login(monkeypatch, s3.environment("reader"))
    assert read(f"s3://{bucket}") == {"b": b"b"}
    with store.receive(f"s3://{bucket}", HERE, PLAIN) as target:
        for data in (b"b", MEDIUM):
            with pytest.raises(UserError, match="denies access"):
                target.put(Bytes("b", data))
        with pytest.raises(PolarError):
            target.commit([], ["b"])
    assert s3.objects(bucket) == {"b": b"b"}


def test_a_profile_brings_keys_and_endpoint(s3: S3, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"s3://{bucket}", {"b": b"b"})
    own = s3.environment("wrong")
    (tmp_path / "config").write_text(f"[profile mine]\nendpoint_url = {s3.endpoint}\nregion = eu-central-1\n")
    (tmp_path / "keys").write_text("[mine]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*s3_server.KEYS["admin"]))
    own |= {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys")}
    del own["AWS_ENDPOINT_URL"]
    login(monkeypatch, own)
    assert read(f"s3://{bucket}", access=Access(profile="mine")) == {"b": b"b"}


def test_without_boto3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UserError, match=r"s3:// needs boto3; install it with: pip install 'polar-tools\[s3\]'"):
        read("s3://bucket/a")


@pytest.mark.parametrize("uri", ["s3://", "s3:///a", "s3://a", "s3://under score", "s3://bucket?versionId=1", "s3://-bucket/a"])
def test_what_names_no_bucket_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="is not of the form s3://BUCKET/PREFIX"):
        store.check(uri, None)


def test_what_belongs_to_other_stores_is_refused() -> None:
    store.check("s3://bucket/prefix", None)
    assert store.local_files("s3://bucket/prefix") == []
    with pytest.raises(ConfigError, match="sha256"):
        store.check("s3://bucket/prefix", "0" * 64)
    with pytest.raises(ConfigError, match="--private"), store.receive("s3://bucket/prefix", HERE, Placement(private=True)):
        pass
