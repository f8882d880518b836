"""A Hub on loopback, to read from and to write to: what huggingface_hub 2.4 asks of the real one, and the faults that a test asks for.

    with hub_server.running() as hub:
        commit = hub.commit("org/name", {"config.json": b"{}"})
        run("polar-tools", "pull-push", "--source", "hf://org/name", "--target", "copy", cwd=folder, **hub.environment())

Files that LFS keeps are sent and received by a second server, as on the real Hub, which refuses a token meant for the first.
`python -m tests.hub_server FOLDER` starts one as a process of its own: what lies in FOLDER/models/ORG/NAME is a repository of it.
"""

import argparse
import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlencode

from tests import hub_lfs, hub_reads, hub_writes
from tests.http_server import Answer, Request, ranged, serving
from tests.hub_git import Blob, Commit, Repository, attributes, tracks
from tests.hub_lfs import SIGNATURE, Store
from tests.hub_routes import Call, Refused, Route, error, find

__all__ = ["SIGNATURE", "Answer", "Hub", "Repository", "Request", "running", "serving"]

STATUSES = {"busy": 503, "limited": 429, "denied": 403}
ROUTED = (hub_lfs, hub_reads, hub_writes)  # the modules whose functions answer


@dataclass(eq=False)
class Fault:
    """What is to go wrong, at which paths, with which method (None: any but HEAD)."""

    kind: str | int
    where: str
    method: str | None
    headers: dict[str, str] = field(default_factory=dict)

    def meets(self, request: Request) -> bool:
        return self.where in request.where and (request.method == self.method if self.method else request.method != "HEAD")


class Hub:
    """The repositories, who may do what, what was asked for, and what is to go wrong."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.repositories: dict[str, Repository] = {}  # by "models/org/name"
        self.moved: dict[str, str] = {}  # "models/org/old" -> "org/new"
        self.users: set[str] = set()  # tokens
        self.readonly: set[str] = set()  # those that may not write
        self.owners: dict[str, set[str]] = {}  # of namespaces; none: everyone writes everywhere
        self.requests: list[Request] = []  # of both servers, as they came
        self.before: list[Callable[[Request], None]] = []  # called before each answer
        self.page = 1000  # rows of a listing
        self.multipart_above = hub_lfs.ONE_PUT  # bytes, as all sizes here
        self.part_size = 16_000_000
        self.xet = False  # whether listings tell the hash by which a large file may be copied on the server
        self.resolve_cache = False  # whether a regular file is redirected to, relatively
        self.slow_seconds = 1.0
        self.endpoint = self.lfs = ""
        self._faults: list[Fault] = []
        self._lock = threading.RLock()

    # What a test says and asks

    def environment(self, token: str = "") -> dict[str, str]:
        """What a client's environment must say, with the token of a user, or of nobody."""
        self.users |= {token} - {""}
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_OFFLINE": "0"}
        login = {"HF_TOKEN": token} if token else {"HF_TOKEN": "", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        return {"HF_ENDPOINT": self.endpoint, "NO_PROXY": "127.0.0.1", **quiet, **login}

    def commit(
        self, repo_id: str, files: dict[str, bytes] | dict[str, Path], ref: str = "main", kind: str = "models", **settings: object
    ) -> str:
        """Make `files` the whole content of a branch of a repository, and return the commit. Large files of the disk are linked."""
        with self._lock:
            repository = self.repositories.setdefault(f"{kind}/{repo_id}", Repository(kind, repo_id))
            for name, value in settings.items():
                setattr(repository, name, value)
            lfs = files.get(".gitattributes") or attributes(kind) + b"*.gguf filter=lfs\n"
            lfs = lfs if isinstance(lfs, bytes) else lfs.read_bytes()
            blobs = {path: self._blob(repository, path, content, lfs) for path, content in files.items()}
            return repository.add(ref, Commit(blobs, repository.refs.get(ref))).id

    def _blob(self, repository: Repository, path: str, content: bytes | Path, lfs: bytes) -> Blob:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if not tracks(lfs, path) and size <= hub_writes.REGULAR:
            return Blob.regular(content if isinstance(content, bytes) else content.read_bytes())
        oid = self.store.add(content)
        repository.lfs[oid] = size
        return Blob.large(oid, size)

    def tag(self, repo_id: str, tag: str, revision: str = "main", kind: str = "models") -> None:
        """Give a commit a name."""
        repository = self.repositories[f"{kind}/{repo_id}"]
        repository.tags[tag] = self.commit_at(repository, revision).id

    def files(self, repo_id: str, revision: str = "main", kind: str = "models") -> dict[str, bytes]:
        """What a repository holds."""
        blobs = self.commit_at(self.repositories[f"{kind}/{repo_id}"], revision).files
        return {path: self.store.path(blob.sha256).read_bytes() if blob.sha256 else blob.content for path, blob in blobs.items()}

    def fault(self, kind: str | int, where: str, times: int = 1, method: str | None = None, headers: dict[str, str] | None = None) -> None:
        """What goes wrong the next `times` that a path holding `where` is asked for (with `method`; None: any but HEAD).

        A status, or "busy" (503), "limited" (429) or "denied" (403), with `headers`; "cut" (the connection breaks after half of the
        bytes that are sent, or, of a PUT or POST, received), "wrong" (one byte is another one: of what a PUT sends, else of the answer),
        "lost" (all is done, and nothing said), or "slow" (the answer takes `slow_seconds`).
        """
        with self._lock:
            usual = {"Retry-After": "0"} if kind in ("busy", "limited") else {}
            self._faults += [Fault(kind, where, method, usual if headers is None else headers) for _ in range(times)]

    # Who may do what

    def name(self, token: str) -> str:
        """The user of a token: `hf_alice` is alice's."""
        return token.removeprefix("hf_")

    def shows(self, repository: Repository, token: str) -> bool:
        return repository.readers is None or token in repository.readers

    def seen(self, token: str, kind: str, repo_id: str) -> Repository:
        """A repository, for whoever may know that it exists."""
        repository = self.repositories.get(f"{kind}/{repo_id}")
        if repository is None or not self.shows(repository, token):
            raise Refused(error(404 if token else 401, "RepoNotFound", "Repository not found"))
        return repository

    def check_write(self, token: str, repository: Repository) -> None:
        """Whether one may write: in the namespace of one's own name, and in those that one owns. While nobody owns any, in all."""
        namespace = repository.id.partition("/")[0]
        if not token:
            raise Refused(error(401, "", "Invalid username or password."))
        if token in self.readonly:
            raise Refused(error(403, "", "This token has no write permission"))
        if self.owners and token not in self.owners.get(namespace, set()) and namespace != self.name(token):
            raise Refused(error(403, "", f'You don\'t have the rights to write to the {repository.kind} of the namespace "{namespace}"'))

    def commit_at(self, repository: Repository, revision: str) -> Commit:
        if (commit := repository.at(revision)) is None:
            raise Refused(error(404, "RevisionNotFound", f"Invalid rev id: {revision}"))
        return commit

    # What the servers say

    def answer(self, request: Request) -> Answer:
        """What the Hub says."""
        return self._faulty(request, self._answer)

    def answer_lfs(self, request: Request) -> Answer:
        """What the store of large files says: bytes for whoever brings a signature, and nothing but that."""
        return self._faulty(request, lambda request: hub_lfs.answer(self, request))

    def _answer(self, request: Request) -> Answer:
        body = request.body.read()
        found = next(find(request), None)
        if found is None:
            return error(404, "", "Sorry, we can't find the page you are looking for.")
        try:
            if found[0].needs == "nothing":  # nor is the lock: hashing takes time
                return found[0].handle(Call(self, request, self._token(request), found[1], body))
            with self._lock:
                return self._handled(request, found[0], found[1], body)
        except Refused as refused:
            return refused.answer

    def _handled(self, request: Request, route: Route, named: dict[str, str], body: bytes) -> Answer:
        call = Call(self, request, self._token(request), named, body)
        if "id" not in named:
            return route.handle(call) if call.token else error(401, "", "Invalid username or password.")
        kind, repo_id = named.get("kind", "models"), named["id"]
        if to := self.moved.get(f"{kind}/{repo_id}"):
            path = f"{request.path.replace(f'/{repo_id}', f'/{to}', 1)}?{urlencode(request.query, doseq=True)}"
            return Answer(307, headers={"Location": self.endpoint + path.rstrip("?")})
        call.repository = self.seen(call.token, kind, repo_id)
        if route.needs == "write":
            self.check_write(call.token, call.repository)
        if route.needs == "read" and call.repository.gated and call.token not in call.repository.accepted:
            return error(403 if call.token else 401, "GatedRepo", "Access to this repository is restricted")
        if "revision" in named or call.repository.at("main"):
            call.commit = self.commit_at(call.repository, call.revision)
        return route.handle(call)

    def _token(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if token and token not in self.users:
            raise Refused(error(401, "", "Invalid credentials in Authorization header"))
        return token

    def _faulty(self, request: Request, handle: Callable[[Request], Answer]) -> Answer:
        self.requests.append(request)
        for hook in list(self.before):
            hook(request)
        fault = self._next_fault(request)
        kind = fault.kind if fault else ""
        status = STATUSES.get(str(kind), kind)
        if fault and isinstance(status, int):
            request.body.drain()
            return replace(error(status, "", str(kind)), headers={"X-Error-Message": str(kind), **fault.headers})
        brings = request.method in ("PUT", "POST")
        half = request.body.length // 2
        request.body.breaks_at = half if kind == "cut" and brings else None
        request.body.flips_at = half if kind == "wrong" and request.method == "PUT" else None
        answer = ranged(handle(request), request.headers.get("range"))
        if kind == "cut":
            return replace(answer, cut=len(answer.body) // 2)
        wrong = kind == "wrong" and request.method != "PUT"
        return replace(answer, lost=kind == "lost", wrong=wrong, seconds=self.slow_seconds if kind == "slow" else 0)

    def _next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in self._faults if fault.meets(request)), None)
            if fault:
                self._faults.remove(fault)
            return fault


@contextmanager
def running(folder: Path | None = None, port: int = 0) -> Iterator[Hub]:
    """A Hub without repositories, which keeps its large files in `folder`, or for as long as it runs."""
    with ExitStack() as stack:
        hub = Hub(folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polar-hub-"))))
        hub.endpoint = stack.enter_context(serving(hub.answer, port))
        hub.lfs = stack.enter_context(serving(hub.answer_lfs))
        yield hub


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--multipart-above", type=int, default=hub_lfs.ONE_PUT, help="bytes")
    parser.add_argument("--part-size", type=int, default=16_000_000, help="bytes")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with running(options.folder, options.port) as hub:
        hub.multipart_above, hub.part_size = options.multipart_above, options.part_size
        hub.environment("hf_bench")
        for top in sorted(path for kind in ("models", "datasets", "spaces") for path in options.folder.glob(f"{kind}/*/*")):
            files = {path.relative_to(top).as_posix(): path for path in sorted(top.rglob("*")) if path.is_file()}
            hub.commit("/".join(top.parts[-2:]), files, kind=top.parts[-3])
        print(json.dumps({"endpoint": hub.endpoint, "lfs": hub.lfs, "token": "hf_bench"}), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
