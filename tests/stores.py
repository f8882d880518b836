"""The stores that contract tests copy between: one class a store, spoken to by its own client, never by the code under test.

stores = Stores(tmp_path, request)
source, target = stores["hub"], stores["s3"]
pull(tmp_path, *source.publish(TREE), *target.target(), **environment(source, target))
assert hashes(target.received()) == hashes(TREE)
"""

import hashlib
import random
import unicodedata
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import pytest

from tests import hub_server, package_index
from tests.hub_server import Hub
from tests.package_index import Index, wheel
from tests.pulls import OTHER_TOKEN, PASSWORD, TOKEN, contents, replace_folder, write
from tests.s3_server import S3

ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
KOREAN = "한국어/안내 문서.md"
SMALL = {
    ".gitattributes": ATTRIBUTES,
    "README.md": b"---\nlicense: mit\n---\n# A model\n",
    "config.json": b'{"hidden_size": 32}\n',
    "folder/model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + random.Random(2).randbytes(5000),
}
TREE = {
    **SMALL,
    "empty.txt": b"",
    "empty.safetensors": b"",
    unicodedata.normalize("NFC", KOREAN): "# 안내\r\n".encode(),
    unicodedata.normalize("NFD", KOREAN): b"the same letters, composed in another way",
    "folder/100% c++ & #1 – naïve?.csv": b"a,b\n1,2\n",
    "folder/" + "긴" * 70 + "/" + "이름" * 35 + ".txt": b"names of more than 200 bytes",
    "folder/deeper/model.safetensors": random.Random(0).randbytes(3_000_000),
    "folder/deeper/large.dat": random.Random(1).randbytes(12_000_000),
}
"""Among them is a file that a Hub takes as LFS only, though no `.gitattributes` says so."""


class Store:
    """Where files are published and received; `can` is what a test may ask of it."""

    can: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    """How a source is written that isn't there."""

    def __init__(self, stores: "Stores") -> None:
        self.stores = stores
        self.environment: dict[str, str] = {}
        self.prepare()

    def prepare(self) -> None:
        """Whatever comes before the first question."""

    def publish(self, files: dict[str, bytes]) -> list[str]:
        """Let these be the files of the source, and no others; how a person names it on the command line."""
        raise NotImplementedError

    def target(self) -> list[str]:
        """How a person names the place of the copy."""
        raise NotImplementedError

    def access(self) -> list[str]:
        """What `polar-tools verify` must be told to reach the copy."""
        return []

    def received(self) -> dict[str, bytes]:
        """What is there now; nothing where there is no such place."""
        raise NotImplementedError

    def change(self, path: str, content: bytes | None) -> None:
        """As someone else would: let `path` in the copy hold this, or (None) be gone."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let `sent` begin anew."""

    def sent(self) -> list[str]:
        """What wrote to the copy since."""
        raise NotImplementedError

    def read(self) -> list[str]:
        """The files of the source that were asked for since; [] where nobody can tell."""
        return []

    def damage(self) -> None:
        """Let the next answer that holds the large file (or all files) have a wrong byte."""
        raise NotImplementedError


class LocalStore(Store):
    """file://: a folder promises no hashes, and names no file outside itself."""

    can = frozenset({"receive"})
    missing = ("--source", "file://nowhere")

    def prepare(self) -> None:
        self.folder, self.copy = self.stores.folder / "source", self.stores.folder / "copy"
        self._before: dict[str, tuple[int, int]] = {}

    def publish(self, files: dict[str, bytes]) -> list[str]:
        replace_folder(self.folder, files)
        return ["--source", f"file://{self.folder}"]

    def target(self) -> list[str]:
        return ["--target", "./copy"]

    def received(self) -> dict[str, bytes]:
        return contents(self.copy)

    def change(self, path: str, content: bytes | None) -> None:
        if content is None:
            (self.copy / path).unlink()
        else:
            write(self.copy, {path: content})

    def forget(self) -> None:
        self._before = self._state()

    def sent(self) -> list[str]:
        return sorted({path for path, _ in self._state().items() ^ self._before.items()})

    def _state(self) -> dict[str, tuple[int, int]]:
        files = (path for path in self.copy.rglob("*") if path.is_file())
        return {path.relative_to(self.copy).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


class HubStore(Store):
    """hf://: a private repository, read with a token; copied into one that belongs to someone else."""

    can = frozenset({"receive", "leave", "damage", "names", "empty", "private", "refs"})
    missing = ("--source", "hf://org/nowhere")
    token = TOKEN

    def prepare(self) -> None:
        self.hub.page = 5
        self.environment = self.hub.environment(self.token)

    @property
    def hub(self) -> Hub:
        return self.stores.hub

    def publish(self, files: dict[str, bytes]) -> list[str]:
        self.hub.commit("org/name", files, readers={TOKEN})
        return ["--source", "hf://org/name@main"]

    def target(self) -> list[str]:
        return ["--target", "me/copy", "--private"]

    def received(self) -> dict[str, bytes]:
        return self.hub.files("me/copy") if "models/me/copy" in self.hub.repositories else {}

    def change(self, path: str, content: bytes | None) -> None:
        files = {**self.received(), path: content}
        self.hub.commit("me/copy", {path: content for path, content in files.items() if content is not None})

    def forget(self) -> None:
        self.hub.requests.clear()

    def sent(self) -> list[str]:
        writes = ("/commit/", "/branch/", "/tag/", "/repos/", "/duplicate")
        return [
            f"{request.method} {request.where}"
            for request in self.hub.requests
            if request.method in ("PUT", "DELETE") or (request.method == "POST" and any(part in request.where for part in writes))
        ]

    def read(self) -> list[str]:
        return [request.where for request in self.hub.requests if "/resolve/" in request.where]

    def damage(self) -> None:
        self.hub.fault("wrong", f"/{large(TREE)}")


class OtherHubStore(HubStore):
    """A Hub at another endpoint, with an account of its own: nothing of it is in the environment."""

    token = OTHER_TOKEN

    def prepare(self) -> None:
        super().prepare()
        self.environment = {}

    @property
    def hub(self) -> Hub:
        return self.stores.other

    def target(self) -> list[str]:
        return [*super().target(), "--target-endpoint", self.hub.endpoint, "--target-token", self.token]

    def access(self) -> list[str]:
        return ["--endpoint", self.hub.endpoint, "--token", self.token]


class S3Store(Store):
    """s3://: objects as other tools put them, without a hash."""

    can = frozenset({"receive"})
    missing = ("--source", "s3://polar-nowhere/name")

    def prepare(self) -> None:
        self.s3 = self.stores.s3
        self.bucket = self.s3.bucket()
        self.environment = self.s3.environment(proxy=True)

    def publish(self, files: dict[str, bytes]) -> list[str]:
        self._fill("source/", files)
        return ["--source", f"s3://{self.bucket}/source"]

    def target(self) -> list[str]:
        return ["--target", f"s3://{self.bucket}/a/copy"]

    def received(self) -> dict[str, bytes]:
        return {key.removeprefix("a/copy/"): content for key, content in self.s3.objects(self.bucket, "a/").items()}

    def change(self, path: str, content: bytes | None) -> None:
        self._put(f"a/copy/{path}", content)

    def forget(self) -> None:
        self.s3.requests.clear()

    def sent(self) -> list[str]:
        return [f"{request.method} {request.where}" for request in self.s3.requests if request.method in ("PUT", "POST", "DELETE")]

    def _fill(self, prefix: str, files: dict[str, bytes]) -> None:
        there = self.s3.objects(self.bucket, prefix)
        for path in there.keys() - {prefix + path for path in files}:
            self._put(path, None)
        for path, content in files.items():
            if there.get(prefix + path) != content:
                self._put(prefix + path, content)

    def _put(self, key: str, content: bytes | None) -> None:
        if content is None:
            self.s3.client().delete_object(Bucket=self.bucket, Key=key)
        else:
            self.s3.client().put_object(Bucket=self.bucket, Key=key, Body=content)


class PypiStore(Store):
    """pypi://: a wheel on an index that asks for a password."""

    can = frozenset({"leave", "damage", "names"})
    missing = ("--source", "pypi://nowhere==1.0/data", "--sha256", "0" * 64)

    def prepare(self) -> None:
        self.environment = self.index.environment()

    @property
    def index(self) -> Index:
        return self.stores.index

    def publish(self, files: dict[str, bytes]) -> list[str]:
        sha256 = self.index.add(*wheel("thing", "1.0", {f"thing/data/{name}": content for name, content in files.items()}))
        return ["--source", "pypi://thing==1.0/thing/data", "--sha256", sha256]

    def damage(self) -> None:
        self.index.faults.append("wrong")


CLASSES = {"hub": HubStore, "local": LocalStore, "pypi": PypiStore, "s3": S3Store, "other": OtherHubStore}


class Stores:
    """The stores of a test in a folder of its own; each server starts when something first asks for it."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.folder, self._request, self._servers = folder, request, ExitStack()
        self._stores: dict[str, Store] = {}

    def __getitem__(self, name: str) -> Store:
        if name not in CLASSES:
            pytest.fail(
                f"polar_tools/storage/{name}.py has no case: add a class like LocalStore to tests/stores.py, and name it in CLASSES"
            )
        if name not in self._stores:
            self._stores[name] = CLASSES[name](self)
        return self._stores[name]

    @cached_property
    def hub(self) -> Hub:
        return self._servers.enter_context(hub_server.running())

    @cached_property
    def other(self) -> Hub:
        return self._servers.enter_context(hub_server.running())

    @cached_property
    def index(self) -> Index:
        index = self._servers.enter_context(package_index.running())
        index.login = f"someone:{PASSWORD}"
        return index

    @cached_property
    def s3(self) -> S3:
        s3: S3 = self._request.getfixturevalue("seaweed")
        s3.requests.clear()
        s3.faults.clear()
        return s3

    def close(self) -> None:
        self._servers.close()


def environment(*stores: Store) -> dict[str, str]:
    """What a command's environment must say to reach them all."""
    return {name: value for store in stores for name, value in store.environment.items()}


def large(files: dict[str, bytes]) -> str:
    """The sha256 of the file on which faults fall."""
    return hashlib.sha256(files["folder/deeper/model.safetensors"]).hexdigest()
