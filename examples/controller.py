"""An HTTP API over the tools, of nothing but Python's own library: start a job, ask for its status, cancel it; a beginning for your own.

    export POLAR_CONTROLLER_TOKEN=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
    python examples/controller.py --folder work --port 8000

    POST   /jobs            {"tool": "train", "arguments": {"method": "sft", ...}}  -> 201, the job
    GET    /jobs            all of them;  GET /jobs/ID  one, with its progress;  GET /jobs/ID/log  what it said
    DELETE /jobs/ID         cancel it: a training saves a checkpoint;  POST /jobs/ID/start  goes on from there
    GET    /schema          what POST /jobs takes, as a JSON schema

It listens on this machine only, and answers who has the token. Paths in arguments are below --folder, and nothing outside of it is read or
written by their names; but whoever has the token can train on what is there, and have repositories fetched. Jobs outlive it: started
again, it knows them all. Tokens for the Hub and keys for S3 are those of its environment.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from polar_tools import argument_schema, jobs
from polar_tools.errors import PolarError, UserError

VARIABLE = "POLAR_CONTROLLER_TOKEN"
TOOLS = ("prepare", "pull-push", "train", "evaluate")
"""What may be started; a tool that isn't here, such as one that publishes, is added on purpose."""
FILES = ("spec", "config")
"""Arguments that are refused: files that hold arguments, and paths, which nobody would look at."""
LONGEST = 1_000_000
"""Bytes of a request."""


class RefusedError(Exception):
    """Ends a request with a status and a message."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Controller:
    """The jobs of one folder."""

    def __init__(self, folder: Path, at_once: int) -> None:
        self.folder, self.at_once = folder.resolve(), at_once
        self.jobs = self.folder / "jobs"
        self.jobs.mkdir(parents=True, exist_ok=True)

    def schema(self) -> Any:
        """What `start` takes."""
        schema = argument_schema.of_all()
        orders = [order for order in schema["oneOf"] if order["title"] in TOOLS]
        for order in orders:
            arguments = order["properties"]["arguments"]
            arguments["anyOf"] = [form for form in arguments["anyOf"] if "spec" not in form["properties"]]
            for form in arguments["anyOf"]:
                form["properties"] = {name: value for name, value in form["properties"].items() if name not in FILES}
        return {**schema, "oneOf": orders}

    def start(self, order: Any) -> Any:
        """Start what is asked for; raises UserError or RefusedError where it may not be."""
        if not isinstance(order, dict) or set(order) != {"tool", "arguments"} or not isinstance(order["arguments"], dict):
            raise RefusedError(HTTPStatus.BAD_REQUEST, 'send {"tool": NAME, "arguments": {...}}; GET /schema says what there may be')
        if order["tool"] not in TOOLS:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"`{order['tool']}` can't be started here; there are {', '.join(TOOLS)}")
        if named := [name for name in FILES if name in order["arguments"]]:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"`{named[0]}` is a file that could say anything; send what it says as arguments")
        for text in texts(order["arguments"]):
            self.refuse_paths_outside(text)
        return self.status(jobs.start(order["tool"], order["arguments"], self.jobs, cwd=self.folder, at_once=self.at_once).id)

    def list(self) -> Any:
        """All jobs, the oldest first."""
        return [{"id": one.id, "tool": one.tool, "state": one.state, "created": one.created} for one in jobs.list(self.jobs)]

    def status(self, name: str) -> Any:
        """How a job stands."""
        return jobs.status(self.find(name)).as_dict()

    def cancel(self, name: str) -> Any:
        """Have a job end."""
        return jobs.cancel(self.find(name)).as_dict()

    def again(self, name: str) -> Any:
        """Let a job that has ended go on."""
        job = self.find(name)
        if jobs.status(job).state in ("queued", "running"):
            raise RefusedError(HTTPStatus.CONFLICT, f"job {name} is at work")
        return self.status(jobs.again(job).id)

    def log(self, name: str) -> Any:
        """The end of what a job said."""
        with Path(jobs.status(self.find(name)).log).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST))
            return {"log": file.read().decode("utf-8", "replace")}

    def find(self, name: str) -> jobs.Job:
        """A job by its id."""
        if not re.fullmatch(r"[a-z-]+-[0-9a-f]{12}", name):
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such job")
        try:
            return jobs.find(name, self.jobs)
        except UserError as error:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such job") from error

    def refuse_paths_outside(self, text: str) -> None:
        """Raise RefusedError where a text holds what would be a path out of the folder."""
        for word in re.split(r"[\s=,;|&<>\[\]{}()\"']+", text):
            scheme, _, behind = word.rpartition("://")
            if scheme not in ("", "file"):
                continue
            try:
                inside = (self.folder / Path(behind).expanduser()).resolve().is_relative_to(self.folder)
            except (OSError, RuntimeError, ValueError):  # a name that is too long, ~somebody who isn't here, a NUL: no file of that name
                inside = "\0" not in behind and not behind.startswith("~")
            if not inside:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"`{word}` is outside of the folder that this controller works in")


def texts(value: Any) -> Iterator[str]:
    """Every text at any depth of a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    for part in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(part)


class Handler(BaseHTTPRequestHandler):
    """One request: who asks, what for, and the answer as JSON."""

    controller: Controller
    token: str
    timeout = 30

    def answer(self) -> None:
        """Any request."""
        try:
            status, told = HTTPStatus.OK, self.told()
            if self.command == "POST":
                status = HTTPStatus.CREATED
        except RefusedError as error:
            status, told = error.status, {"error": str(error)}
        except UserError as error:
            status, told = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except PolarError as error:
            status, told = HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)}
        body = json.dumps(told, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 (names of http.server)

    def told(self) -> Any:
        """What the request asks for."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send `Authorization: Bearer TOKEN`")
        match (self.command, *self.path.strip("/").split("/")):
            case ("GET", "schema"):
                return self.controller.schema()
            case ("GET", "jobs"):
                return self.controller.list()
            case ("POST", "jobs"):
                return self.controller.start(self.body())
            case ("GET", "jobs", name):
                return self.controller.status(name)
            case ("DELETE", "jobs", name):
                return self.controller.cancel(name)
            case ("GET", "jobs", name, "log"):
                return self.controller.log(name)
            case ("POST", "jobs", name, "start"):
                return self.controller.again(name)
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no {self.command} {self.path}")

    def body(self) -> Any:
        """What was sent."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send JSON of at most {LONGEST} bytes, with its Content-Length")
        try:
            return json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"that is no JSON: {error}") from error


def main() -> None:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser(description="An HTTP API over polar-tools.")
    parser.add_argument("--folder", type=Path, required=True, help="All paths are below it; jobs/ in it remembers the jobs.")
    parser.add_argument("--host", default="127.0.0.1", help="Elsewhere than on this machine it needs TLS in front of it.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one.")
    parser.add_argument("--at-once", type=int, default=1, help="How many jobs run at a time; the others wait.")
    given = parser.parse_args()
    token = os.environ.pop(VARIABLE, "")  # no job need know it
    if len(token) < 16:
        parser.error(f"set {VARIABLE} to a word of at least 16 letters that nobody guesses")
    Handler.controller, Handler.token = Controller(given.folder, given.at_once), token
    server = ThreadingHTTPServer((given.host, given.port), Handler)
    print(f"http://{given.host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
