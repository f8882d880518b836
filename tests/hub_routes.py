"""How a request finds the function that answers it, and what that function is told."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlencode

from tests.http_server import Answer, Request, said
from tests.hub_git import Commit, Repository

if TYPE_CHECKING:
    from tests.hub_server import Hub

GROUPS = {
    "{kind}": "(?P<kind>models|datasets|spaces)",
    "{prefix}": "(?:(?P<kind>datasets|spaces)/)?",
    "{id}": "(?P<id>[^/]+(?:/[^/]+)?)",
    "{path}": "(?P<path>.+)",
}


class Refused(Exception):  # noqa: N818 (an answer, not a mistake)
    """What is asked for can't be done; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@dataclass
class Call:
    """A request for which the Hub has found what it is about; `token` is empty for nobody."""

    hub: "Hub"
    request: Request
    token: str = ""
    named: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    repository: Repository = field(default_factory=Repository)
    commit: Commit = field(default_factory=lambda: Commit({}))

    @cached_property
    def data(self) -> dict[str, Any]:
        """The body, in JSON."""
        try:
            return dict(json.loads(self.body or b"{}"))
        except ValueError:
            raise Refused(error(400, "", "Invalid JSON")) from None

    @property
    def revision(self) -> str:
        """The revision as it was asked for."""
        return self.named.get("revision", "main")

    def flag(self, name: str) -> bool:
        """Whether the query says `name=true`."""
        return self.request.query.get(name, ["false"])[0].lower() in ("true", "1")

    def page(self, rows: list[Any], size: int) -> tuple[list[Any], dict[str, str]]:
        """A page of the rows, and the header that leads to the next one."""
        start = int(self.request.query.get("cursor", ["0"])[0])
        query = urlencode({**self.request.query, "cursor": [start + size]}, doseq=True)
        more = {"Link": f'<{self.hub.endpoint}{self.request.path}?{query}>; rel="next"'} if start + size < len(rows) else {}
        return rows[start : start + size], more


Handler = Callable[[Call], Answer]


class Route(NamedTuple):
    """A path, and what one needs to be answered there."""

    path: re.Pattern[str]
    needs: str
    handle: Handler


ROUTES: dict[str, list[Route]] = {}


def route(methods: str, path: str, needs: str) -> Callable[[Handler], Handler]:
    """Answer there. `needs`: "nothing", a "login", or to "see", "read" (the files, where it is gated) or "write" a repository."""

    def register(handle: Handler) -> Handler:
        pattern = re.sub(r"\{\w+\}", lambda found: GROUPS.get(found[0], f"(?P<{found[0][1:-1]}>[^/]+)"), path.replace(".", r"\."))
        for method in methods.split():
            ROUTES.setdefault(method, []).append(Route(re.compile(pattern), needs, handle))
        return handle

    return register


def find(request: Request) -> Iterator[tuple[Route, dict[str, str]]]:
    """The first route that leads there, with the parts of the path that have names."""
    for candidate in ROUTES.get("GET" if request.method == "HEAD" else request.method, []):
        if found := candidate.path.fullmatch(request.path):
            yield candidate, {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
            return


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None, **about: Any) -> Answer:
    """What the Hub refuses, and why."""
    codes = {"X-Request-Id": f"Root=1-{uuid.uuid4()}", **({"X-Error-Code": code} if code else {})}
    told = message.encode("ascii", "replace").decode()  # a header holds no other letters
    return said({"error": message, **about}, status, {**codes, "X-Error-Message": told, **(headers or {})})
