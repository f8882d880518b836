"""A Hub to read from, on loopback: what huggingface_hub 2.4 asks of the real one, and the faults that a test asks for.

    with hub_server.running() as hub:
        commit = hub.commit("org/name", {"config.json": b"{}"})
        run("polar-tools", "pull-push", "--source", "hf://org/name", "--target", "copy", cwd=folder, **hub.environment())

Files that LFS keeps are sent by a second server, as on the real Hub, which refuses a token meant for the first.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS = (".bin", ".gguf", ".parquet", ".safetensors")
SIGNATURE = "signed-for-a-minute"
KINDS = "models|datasets|spaces"
REPOSITORY = r"(?P<id>[^/]+(?:/[^/]+)?)"


@dataclass(frozen=True)
class Request:
    """What a client asked for; the path as it was sent, without its query."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What a server says; `cut` is how many bytes of the body it sends before it breaks the connection."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """A server on a free port of this machine that says what `answer` returns; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.say(_ranged(answer(Request(self.command, split.path, parse_qs(split.query), headers)), headers.get("range")))

        do_HEAD = do_GET  # noqa: N815 (the name that http.server calls)

        def say(self, said: Answer) -> None:
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body[: said.cut])
            self.close_connection = self.close_connection or said.cut is not None

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _ranged(answer: Answer, asked: str | None) -> Answer:
    if asked is None or answer.status != 200:
        return answer
    start, total = int(asked.removeprefix("bytes=").rstrip("-")), len(answer.body)
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{total - 1}/{total}"}
    return Answer(206, answer.body[start:], headers, answer.cut)


@dataclass
class Repository:
    """Files by commit, commits by branch or tag; `readers` are the tokens that may see it, None for everyone."""

    readers: set[str] | None = None
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


class Hub:
    """The repositories, what was asked for, and what is to go wrong."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.users: set[str] = set()
        self.requests: list[Request] = []
        self.page = 1000
        self.endpoint = self.lfs = ""
        self._faults: list[tuple[str, str]] = []

    def environment(self, token: str = "") -> dict[str, str]:
        """What a client's environment must say, with the token of a user, or of nobody."""
        self.users |= {token} - {""}
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_OFFLINE": "0"}
        login = {"HF_TOKEN": token} if token else {"HF_TOKEN": "", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        return {"HF_ENDPOINT": self.endpoint, "NO_PROXY": "127.0.0.1", **quiet, **login}

    def commit(self, repo_id: str, files: dict[str, bytes], ref: str = "main", kind: str = "models", **settings: object) -> str:
        """Make `files` the whole content of a branch (or tag) of a repository, and return the commit."""
        repository = self.repositories.setdefault(f"{kind}/{repo_id}", Repository())
        for name, value in settings.items():
            setattr(repository, name, value)
        content = json.dumps([repo_id, len(repository.commits), {name: _sha256(body) for name, body in files.items()}])
        commit = hashlib.sha1(content.encode()).hexdigest()
        repository.commits[commit] = files
        repository.refs[ref] = commit
        return commit

    def fault(self, kind: str, where: str, times: int = 1) -> None:
        """The next `times` that a path holding `where` is asked for: "busy" (503), "cut" (half the bytes) or "wrong" (a wrong byte)."""
        self._faults += [(kind, where)] * times

    def answer(self, request: Request) -> Answer:
        """What the Hub says."""
        self.requests.append(request)
        routes = {
            rf"/api/(?P<kind>{KINDS})/{REPOSITORY}(?:/revision/(?P<revision>[^/]+))?": self._info,
            rf"/api/(?P<kind>{KINDS})/{REPOSITORY}/tree/(?P<revision>[^/]+)": self._tree,
            rf"/(?:(?P<kind>datasets|spaces)/)?{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": self._file,
        }
        for route, handle in routes.items():
            if found := re.fullmatch(route, request.path):
                named = {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
                return self._spoiled(request, self._as_seen(request, named, handle))
        return Answer(404, b'{"error":"Sorry, we can\'t find the page you are looking for."}')

    def answer_lfs(self, request: Request) -> Answer:
        """What the store of large files says: bytes for whoever brings a signature, and nothing but that."""
        self.requests.append(request)
        if "authorization" in request.headers or request.query.get("X-Signature") != [SIGNATURE]:
            return Answer(400, b"Only one auth mechanism allowed")
        wanted = request.path.rpartition("/")[2]
        every = (body for repository in self.repositories.values() for files in repository.commits.values() for body in files.values())
        return self._spoiled(request, Answer(body=next(body for body in every if _sha256(body) == wanted)))

    def _as_seen(self, request: Request, named: dict[str, str], handle: Callable[..., Answer]) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.users:
            return Answer(401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
        repository = self.repositories.get(f"{named.get('kind', 'models')}/{named['id']}")
        if repository is None or (repository.readers is not None and token not in repository.readers):
            return _error(404 if token else 401, "RepoNotFound", "Repository not found")
        if repository.gated and "path" in named:
            return _error(403, "GatedRepo", "Access to this repository is restricted")
        revision = named.get("revision", "main")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return handle(request, named, commit, repository.commits[commit])

    def _info(self, request: Request, named: dict[str, str], commit: str, files: dict[str, bytes]) -> Answer:
        siblings = [{"rfilename": name} for name in files]
        if request.query.get("blobs", ["false"])[0].lower() == "true":
            siblings = [
                {"rfilename": name, "blobId": (about := _described(name, body)).pop("oid"), **about} for name, body in files.items()
            ]
        return _json({"_id": commit[:24], "id": named["id"], "sha": commit, "private": False, "siblings": siblings, "sdk": "static"})

    def _tree(self, request: Request, named: dict[str, str], commit: str, files: dict[str, bytes]) -> Answer:
        start = int(request.query.get("cursor", ["0"])[0])
        folders = sorted({name[:at] for name in files for at, letter in enumerate(name) if letter == "/"})
        rows = [{"type": "directory", "oid": _git(name.encode()), "size": 0, "path": name} for name in folders]
        rows += [{"type": "file", "path": name, **_described(name, body)} for name, body in sorted(files.items())]
        link = f'<{self.endpoint}{request.path}?recursive=true&cursor={start + self.page}>; rel="next"'
        return _json(rows[start : start + self.page], {"Link": link} if start + self.page < len(rows) else {})

    def _file(self, request: Request, named: dict[str, str], commit: str, files: dict[str, bytes]) -> Answer:
        if named["path"] not in files:
            return _error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        body = files[named["path"]]
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not named["path"].endswith(LFS):
            return Answer(body=body, headers={**headers, "ETag": f'"{_git(body)}"'})
        linked = {"X-Linked-ETag": f'"{_sha256(body)}"', "X-Linked-Size": str(len(body))}
        where = f"{self.lfs}/{quote(named['id'])}/{_sha256(body)}?X-Signature={SIGNATURE}"
        return Answer(302, headers={**headers, **linked, "Location": where})

    def _spoiled(self, request: Request, answer: Answer) -> Answer:
        fault = next((fault for fault in self._faults if fault[1] in unquote(request.path)), None)
        if fault is None or request.method != "GET":
            return answer
        self._faults.remove(fault)
        if fault[0] == "busy":
            return Answer(503, b"busy", {"Retry-After": "0"})
        half = len(answer.body) // 2
        if fault[0] == "cut":
            return Answer(answer.status, answer.body, answer.headers, cut=half)
        return Answer(answer.status, answer.body[:half] + bytes([answer.body[half] ^ 1]) + answer.body[half + 1 :], answer.headers)


@contextmanager
def running() -> Iterator[Hub]:
    """A Hub without repositories."""
    hub = Hub()
    with ExitStack() as servers:
        hub.endpoint = servers.enter_context(serving(hub.answer))
        hub.lfs = servers.enter_context(serving(hub.answer_lfs))
        yield hub


def _described(name: str, body: bytes) -> dict[str, object]:
    """What the Hub tells of a file; that of an LFS file is kept in git as a pointer."""
    if not name.endswith(LFS):
        return {"oid": _git(body), "size": len(body)}
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{_sha256(body)}\nsize {len(body)}\n".encode()
    lfs = {"oid": _sha256(body), "sha256": _sha256(body), "size": len(body), "pointerSize": len(pointer)}
    return {"oid": _git(pointer), "size": len(body), "lfs": lfs}


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _git(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def _json(data: object, headers: dict[str, str] | None = None) -> Answer:
    return Answer(body=json.dumps(data).encode(), headers={"Content-Type": "application/json", **(headers or {})})


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    about = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
    return Answer(status, json.dumps({"error": message}).encode(), about)
