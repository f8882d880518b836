"""A package index on loopback (PEP 503 and PEP 691) or as a folder, with wheels and sdists that a test makes.

with package_index.running() as index:
    sha256 = index.add(*package_index.wheel("name", "1.0", {"name/data.csv": b"..."}))
    run("polar-tools", "pull-push", "--source", "pypi://name==1.0/name", ..., cwd=folder, **index.environment())
"""

import base64
import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.hub_server import Answer, Request, serving

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Index:
    """The files, how the index lists them, who may ask (`user:password`), and what goes wrong."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    html_only: bool = False
    hashes: bool = True
    absolute: bool = False
    login: str = ""
    faults: list[str] = field(default_factory=list)

    def add(self, filename: str, content: bytes) -> str:
        """Publish a file; returns its sha256."""
        self.files[filename] = content
        return hashlib.sha256(content).hexdigest()

    def environment(self) -> dict[str, str]:
        """What makes this the one index of pip."""
        url = self.url.replace("://", f"://{self.login}@") if self.login else self.url
        return no_pip() | {"PIP_INDEX_URL": f"{url}/simple/"}

    def answer(self, request: Request) -> Answer:
        """What the index says."""
        expected = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and request.headers.get("authorization") != expected:
            return Answer(401)
        folder, _, name = request.path.strip("/").partition("/")
        if folder == "simple":
            return self._page(name, JSON in request.headers.get("accept", ""))
        return self._spoiled(self.files[name])

    def page(self, project: str, base: str) -> list[tuple[str, str, str]]:
        """Name, URL and sha256 of the project's files."""
        names = [name for name in self.files if re.sub("[-_.]+", "-", name).lower().startswith(f"{project}-")]
        return [(name, f"{base}/files/{quote(name)}", hashlib.sha256(self.files[name]).hexdigest()) for name in names]

    def _page(self, project: str, as_json: bool) -> Answer:
        rows = self.page(project, self.url if self.absolute else "../..")
        if not rows:
            return Answer(404)
        if not as_json or self.html_only:
            return Answer(body=html(rows, self.hashes), headers={"Content-Type": "text/html"})
        files = [{"filename": name, "url": url, "hashes": {"sha256": sha256} if self.hashes else {}} for name, url, sha256 in rows]
        data = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
        return Answer(body=json.dumps(data).encode(), headers={"Content-Type": JSON})

    def _spoiled(self, body: bytes) -> Answer:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "busy":
            return Answer(503)
        half = len(body) // 2
        wrong = body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :]
        return Answer(body=wrong if fault == "wrong" else body, cut=half if fault == "cut" else None)


@contextmanager
def running() -> Iterator[Index]:
    """An index without files."""
    index = Index()
    with serving(index.answer) as index.url:
        yield index


def no_pip() -> dict[str, str]:
    """What makes pip's settings on this machine count for nothing."""
    settings = ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CERT")
    return {f"PIP_{name}": "" for name in settings} | {"PIP_CONFIG_FILE": "/dev/null", "NO_PROXY": "127.0.0.1"}


def on_disk(index: Index, project: str, folder: Path) -> None:
    """The same index as a folder."""
    for name, content in index.files.items():
        (folder / "files").mkdir(parents=True, exist_ok=True)
        (folder / "files" / name).write_bytes(content)
    (folder / "simple" / project).mkdir(parents=True)
    (folder / "simple" / project / "index.html").write_bytes(html(index.page(project, "../.."), hashes=True))


def html(rows: list[tuple[str, str, str]], hashes: bool) -> bytes:
    """The page of a project."""
    links = (f'<a href="{url}{f"#sha256={sha256}" if hashes else ""}">{name}</a><br>' for name, url, sha256 in rows)
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


def wheel(name: str, version: str, files: dict[str, bytes]) -> tuple[str, bytes]:
    """A wheel that holds `files` and its own metadata."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**files, f"{name}-{version}.dist-info/METADATA": b"Metadata-Version: 2.1\n"}.items():
            archive.writestr(path, content)
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def sdist(name: str, version: str, files: dict[str, bytes], links: dict[str, str] | None = None) -> tuple[str, bytes]:
    """An sdist that holds `files`, and symbolic links by where they lead, below its top folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for path, goal in (links or {}).items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.type, member.linkname = tarfile.SYMTYPE, goal
            archive.addfile(member)
    return f"{name}-{version}.tar.gz", buffer.getvalue()
