"""An HTTP/1.1 server on loopback that says what a test wants, wrong things included; for the Hub and the package index of the tests.

It reads requests by itself, for `http.server` spends most of its time on headers: here a small request costs a tenth of a millisecond.
Bodies are streamed both ways: what a client sends is read in pieces, and what lies in a file is sent by the kernel.
"""

import json
import re
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 1 << 20
STEPS = 20  # in which a slow answer is sent


class BrokenError(Exception):
    """The connection ended before the request did, or is meant to end now."""


@dataclass(frozen=True)
class Part:
    """Bytes of a file, from `start` to before `stop`; measured and sliced as `bytes` are, but read only when sent."""

    path: Path
    start: int
    stop: int

    @classmethod
    def whole(cls, path: Path) -> "Part":
        return cls(path, 0, path.stat().st_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, wanted: slice) -> "Part":
        start, stop, _ = wanted.indices(len(self))
        return Part(self.path, self.start + start, max(self.start + start, self.start + stop))

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(len(self))


class Body:
    """What a request brings, read once and in pieces; `breaks_at` and `flips_at` are the bytes at which a test wants harm done."""

    def __init__(self, stream: BufferedReader, headers: dict[str, str]) -> None:
        self._stream = stream
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.length = 0 if self.chunked else int(headers.get("content-length", 0))
        self.received = 0
        self.breaks_at: int | None = None
        self.flips_at: int | None = None
        self.pieces = self._pieces()

    def read(self) -> bytes:
        """All that has not been read yet."""
        return b"".join(bytes(piece) for piece in self.pieces)

    def drain(self) -> None:
        """Go on to the next request of this connection."""
        deque(self.pieces, maxlen=0)

    def _pieces(self) -> Iterator[memoryview]:
        """Pieces, each in the memory of the one before it."""
        buffer = memoryview(bytearray(PIECE if self.chunked else min(PIECE, self.length)))
        for size in self._sizes():
            end = self.received + size
            while self.received < end:
                stop = end if self.breaks_at is None else min(end, self.breaks_at)
                read = self._stream.readinto(buffer[: stop - self.received])
                if not read:  # the client went, or `breaks_at` is reached
                    raise BrokenError
                if self.flips_at is not None and 0 <= self.flips_at - self.received < read:
                    buffer[self.flips_at - self.received] ^= 1
                self.received += read
                yield buffer[:read]

    def _sizes(self) -> Iterator[int]:
        if not self.chunked:
            yield self.length
            return
        while line := self._stream.readline():
            if not (size := int(line.partition(b";")[0], 16)):
                while self._stream.readline().strip():
                    pass
                return
            yield size
            self._stream.readline()
        raise BrokenError


@dataclass
class Request:
    """What a client asks for; the path as it was sent, without its query. `sent` counts the bytes of the answer's body."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Body = field(repr=False)
    sent: int = 0

    @property
    def received(self) -> int:
        """The bytes of the request's body that came."""
        return self.body.received

    @property
    def where(self) -> str:
        """The path as a person reads it."""
        return unquote(self.path)


@dataclass(frozen=True)
class Answer:
    """What a server says, and what goes wrong while it does.

    `cut` is how many bytes of the body it sends before it breaks the connection, `wrong` flips the byte in the middle, `seconds` is
    how long the body takes, and `lost` says nothing at all.
    """

    status: int = 200
    body: bytes | Part = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    wrong: bool = False
    seconds: float = 0
    lost: bool = False


def said(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(data, default=str).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def ranged(answer: Answer, asked: str | None) -> Answer:
    """The part of the answer that a Range header asks for: "bytes=5-", "bytes=5-9" or "bytes=-5"."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if answer.status != 200 or found is None or found.groups() == ("", ""):
        return answer
    total, (first, last) = len(answer.body), found.groups()
    start = int(first) if first else max(0, total - int(last))
    stop = min(total, int(last) + 1) if first and last else total
    if start >= stop:
        return Answer(416, headers={"Content-Range": f"bytes */{total}"})
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{stop - 1}/{total}"}
    return replace(answer, status=206, body=answer.body[start:stop], headers=headers)


class _Connection(StreamRequestHandler):
    """One client; the next request is read when the last one is answered."""

    rbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: "_Server"

    def handle(self) -> None:
        with suppress(BrokenError, ConnectionError):
            while self._exchange():
                pass

    def _exchange(self) -> bool:
        """Answer one request; whether the connection stays open."""
        line = self.rfile.readline().decode("latin-1").split()
        if len(line) != 3:
            return False
        headers = dict(self._headers())
        split = urlsplit(line[1])
        request = Request(line[0], split.path, parse_qs(split.query), headers, Body(self.rfile, headers))
        if headers.get("expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        answer = ranged(self._answer(request), headers.get("range"))
        if answer.lost:
            return False
        request.body.drain()
        self._say(request, answer)
        return answer.cut is None and line[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"

    def _answer(self, request: Request) -> Answer:
        try:
            return self.server.answer(request)
        except (BrokenError, ConnectionError):
            raise
        except Exception:  # a mistake of the test or of its server: say it where it will be read
            traceback.print_exc()
            return Answer(500, traceback.format_exc().encode())

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()

    def _say(self, request: Request, answer: Answer) -> None:
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if request.method == "HEAD":
            self.connection.sendall(head)
            return
        pieces = list(_pieces(answer))
        for piece in pieces:
            if answer.seconds:  # to sleep for no time takes longer than the rest
                time.sleep(answer.seconds / len(pieces))
            request.sent += len(piece)  # before the client can have it and look here
            if isinstance(piece, bytes):
                self.connection.sendall(head + piece)
            elif len(piece) == 0:
                self.connection.sendall(head)
            else:
                self.connection.sendall(head)
                with piece.path.open("rb", buffering=0) as file:
                    self.connection.sendfile(file, piece.start, len(piece))
            head = b""


def _pieces(answer: Answer) -> Iterator[bytes | Part]:
    body = answer.body[: answer.cut]
    if answer.wrong and body:
        half = len(body) // 2
        flipped = body[half : half + 1]
        byte = flipped if isinstance(flipped, bytes) else flipped.read()
        yield from (body[:half], bytes([byte[0] ^ 1]), body[half + 1 :])
    elif answer.seconds and body:
        step = -(-len(body) // STEPS)
        yield from (body[at : at + step] for at in range(0, len(body), step))
    else:
        yield body


class _Server(ThreadingMixIn, TCPServer):
    """A thread for each client; all of them end with the server."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self.clients: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.clients.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for client in list(self.clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(answer: Callable[[Request], Answer], port: int = 0) -> Iterator[str]:
    """A server on a port of this machine (0: a free one) that says what `answer` returns; yields its URL."""
    server = _Server(port, answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
