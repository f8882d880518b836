"""One repository of a Hub, spoken to over HTTP: every call is tried again while that may help, and what can't be helped is said in words.

huggingface_hub gives the session, the headers and the errors. Its own calls aren't used where they give up at the first 503
(repo_info, refs, create_commit), or hold in memory or on disk what is to stream.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from polar_tools.errors import ConfigError, PolarError, StorageError, UserError
from polar_tools.patience import Patience, retry_after
from polar_tools.storage.base import Access, Entry, endpoint_of
from polar_tools.storage.hub.address import Address

if TYPE_CHECKING:
    from httpx2 import Response

PATIENCE = 60.0
"""Seconds of silence after which a connection counts as broken."""
ATTEMPTS = 6
"""How often a call is made that fails in a way that may pass."""
PASSING = {408, 425, 429, 500, 502, 503, 504}


class Repository:
    """A repository as one side of a copy sees it. Several threads may use it at once."""

    def __init__(self, uri: str, address: Address, access: Access) -> None:
        from huggingface_hub import constants
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(address.repo_id)
        except HFValidationError as error:
            raise ConfigError(f"`{uri}`: {error}") from error
        self.uri, self.address = uri, address
        self.endpoint = endpoint_of(access, constants.ENDPOINT)
        self.token = _token(access, self.endpoint)
        self.prefix = "" if address.repo_type == "model" else f"{address.repo_type}s/"
        self.api = f"{self.endpoint}/api/{address.repo_type}s/{address.repo_id}"
        self.patience = Patience(uri)

    @property
    def url(self) -> str:
        """What a person opens."""
        return f"{self.endpoint}/{self.prefix}{self.address.repo_id}"

    def here(self, url: str) -> str:
        """A URL that the Hub gave, on the endpoint by which it is reached here."""
        from huggingface_hub.utils import fix_hf_endpoint_in_url

        return str(fix_hf_endpoint_in_url(url, self.endpoint))

    def info(self, revision: str | None = None) -> dict[str, Any] | None:
        """What the Hub says of the repository at `revision`; None where there is no such repository or revision."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        at = f"/revision/{quote(revision, safe='')}" if revision else ""
        try:
            data: dict[str, Any] = self.said(self.call("GET", f"{self.api}{at}", explain=False))
        except GatedRepoError as error:
            raise self.explained(error) from error
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return None
        except Exception as error:
            raise self.explained(error) from error
        return data

    def tree(self, revision: str) -> tuple[Entry, ...]:
        """The files at `revision`, sorted by path."""
        url: str | None = f"{self.api}/tree/{quote(revision, safe='')}?recursive=true&expand=false"
        rows: list[dict[str, Any]] = []
        while url is not None:
            response = self.call("GET", url)
            rows += self.said(response)
            url = response.links.get("next", {}).get("url")
        return tuple(sorted((_entry(row) for row in rows if row["type"] == "file"), key=lambda entry: entry.path))

    def refs(self) -> dict[str, dict[str, str]]:
        """The commits of all branches and tags by their names."""
        data = self.said(self.call("GET", f"{self.api}/refs"))
        return {kind: {ref["name"]: ref["targetCommit"] for ref in data[kind]} for kind in ("branches", "tags")}

    def call(self, method: str, url: str, *, explain: bool = True, signed: bool = False, **options: Any) -> Response:
        """An answer that is no error. `signed` URLs carry their own permission and get no token.

        Raises a PolarError, or what huggingface_hub raises unless `explain`.
        """
        try:
            response: Response = self.patiently(lambda: self.once(method, url, signed=signed, **options))
            return response
        except Exception as error:
            if not explain:
                raise
            raise self.explained(error) from error

    def said(self, response: Response) -> Any:
        """What an answer says in JSON; raises StorageError where it isn't that: it was damaged, or is somebody else's."""
        try:
            return response.json()
        except ValueError as error:
            why = f"{self.endpoint} doesn't answer as a Hub does; is that its address? Then run the same command again"
            raise StorageError(f"`{self.uri}`: {why}") from error

    def once(self, method: str, url: str, *, signed: bool = False, content: Any = None, **options: Any) -> Response:
        """As `call`, in one attempt; raises what huggingface_hub raises. A `content` that can be called gives the body."""
        from huggingface_hub.utils import get_session, hf_raise_for_status

        headers = {**({} if signed else self.headers()), **options.pop("headers", {})}
        body = content() if callable(content) else content
        response: Response = get_session().request(method, url, headers=headers, content=body, timeout=PATIENCE, **options)
        hf_raise_for_status(response)
        return response

    @contextmanager
    def stream(self, url: str, headers: dict[str, str]) -> Iterator[Response]:
        """An answer whose body is still to come."""
        from huggingface_hub.utils import get_session, hf_raise_for_status

        with get_session().stream("GET", url, headers={**self.headers(), **headers}, timeout=PATIENCE) as response:
            hf_raise_for_status(response)
            yield response

    def headers(self) -> dict[str, str]:
        """The token, and who asks."""
        from huggingface_hub.utils import build_hf_headers

        headers: dict[str, str] = build_hf_headers(token=self.token or False)
        return headers

    def patiently(self, attempt: Callable[[], Any]) -> Any:
        """What `attempt` returns, after as many attempts as may help; between them all threads wait as long as the Hub asks."""
        for number in range(1, ATTEMPTS + 1):
            self.patience.pause()
            try:
                return attempt()
            except Exception as error:
                if number == ATTEMPTS or not may_pass(error):
                    raise
                self.wait_after(error, number)

    def wait_after(self, error: Exception, number: int) -> None:
        """Wait after the `number`th attempt has failed, and let all threads wait."""
        from huggingface_hub.errors import HfHubHTTPError

        self.patience.put_off(number, _asked_for(error.response.headers) if isinstance(error, HfHubHTTPError) else None)
        self.patience.pause()

    def explained(self, error: Exception) -> Exception:
        """What to say of an error, in our words: its own hold addresses and may hold a token."""
        from httpx2 import TransportError
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        uri = self.uri
        if isinstance(error, GatedRepoError):
            return UserError(f"`{uri}` is gated: accept its conditions on the Hub, and set HF_TOKEN or run `hf auth login`")
        if isinstance(error, RepositoryNotFoundError):
            return self.nowhere()
        if isinstance(error, RevisionNotFoundError):
            return self.no_revision()
        if isinstance(error, OfflineModeIsEnabled):
            return StorageError(f"`{uri}` can't be reached: HF_HUB_OFFLINE is set")
        if isinstance(error, HfHubHTTPError):
            return self._answered(error.response.status_code, error.server_message or "")
        if isinstance(error, TransportError):
            return StorageError(f"`{uri}` can't be reached: {type(error).__name__}; is the Hub (HF_ENDPOINT) reachable?")
        return error

    def no_revision(self) -> PolarError:
        """The error for a branch, tag or commit that isn't there."""
        return UserError(f"`{self.uri}`: the {self.address.repo_type} has no branch, tag or commit `{self.address.revision}`")

    def nowhere(self) -> PolarError:
        """The error for a repository that the Hub doesn't show."""
        return UserError(f"`{self.uri}`: there is no such {self.address.repo_type}, or it is private: set HF_TOKEN or run `hf auth login`")

    def _answered(self, status: int, message: str) -> PolarError:
        said = f": {message}" if message and not (self.token and self.token in message) else ""
        if status == HTTPStatus.FORBIDDEN:
            return UserError(f"`{self.uri}`: the Hub forbids it{said}; does the token have the right to do this?")
        return StorageError(f"`{self.uri}`: the Hub answered {status}{said}; whole files stay, run the same command again")


def may_pass(error: Exception) -> bool:
    """Whether the same call may go well a little later."""
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in PASSING
    return isinstance(error, TransportError)


def _asked_for(headers: Any) -> float | None:
    """Seconds that an answer asks to wait: Retry-After, or the end of a `ratelimit` window that is spent."""
    from huggingface_hub.utils._http import parse_ratelimit_headers

    if (wish := retry_after(headers.get("retry-after", ""))) is not None:
        return wish
    limits = parse_ratelimit_headers(headers)
    return float(limits.reset_in_seconds) if limits is not None and limits.remaining == 0 else None


def _token(access: Access, endpoint: str) -> str | None:
    """The token that was given, beside the address or in HF_TOKEN; else the one of `hf auth login`, for the Hub that it was made for."""
    from huggingface_hub import constants, get_token

    own = not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and (os.environ.get("HF_TOKEN") or endpoint == constants.ENDPOINT)
    token: str | None = access.token or (get_token() if own else None)
    if token and not (token.isascii() and token.isprintable()):  # what sends it would complain of it by showing it
        raise UserError("the token of the Hub (HF_TOKEN, --token, or what `hf auth login` stored) holds characters that no token has")
    return token


def _entry(row: dict[str, Any]) -> Entry:
    if "lfs" in row:
        return Entry(row["path"], row["lfs"]["size"], sha256=row["lfs"].get("oid") or row["lfs"].get("sha256"), lfs=True)
    return Entry(row["path"], row["size"], git_sha1=row["oid"])
