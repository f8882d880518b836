"""What one can ask of a Hub: who one is, what there is, and files."""

import re
from typing import Any
from urllib.parse import parse_qs, quote

import yaml

from tests.http_server import Answer, said
from tests.hub_git import Blob, Commit, Repository
from tests.hub_lfs import SIGNATURE
from tests.hub_routes import Call, Refused, error, route

EXPANDED = 50  # rows of a page that says more of each


@route("GET", "/api/whoami-v2", needs="login")
def whoami(call: Call) -> Answer:
    name, role = call.hub.name(call.token), "read" if call.token in call.hub.readonly else "write"
    orgs = [namespace for namespace, owners in call.hub.owners.items() if call.token in owners and namespace != name]
    rows = [{"type": "org", "name": org, "fullname": org, "roleInOrg": "write"} for org in orgs]
    token = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
    return said({"type": "user", "id": name, "name": name, "fullname": name, "orgs": rows, "auth": token})


@route("GET", "/api/{kind}", needs="nothing")
def repositories(call: Call) -> Answer:
    ask = {name: values[0].lower() for name, values in call.request.query.items()}
    rows = [
        _about(repository)
        for repository in sorted(call.hub.repositories.values(), key=lambda repository: repository.id)
        if repository.kind == call.named["kind"] and call.hub.shows(repository, call.token)
        if ask.get("author", repository.id.partition("/")[0].lower()) == repository.id.partition("/")[0].lower()
        if ask.get("search", "") in repository.id.lower()
    ]
    page, more = call.page(rows, int(ask.get("limit", call.hub.page)))
    return said(page, headers=more)


@route("GET", "/api/{kind}/{id}/auth-check", needs="read")
@route("GET", "/api/{kind}/{id}/auth-check/write", needs="write")
def auth_check(call: Call) -> Answer:
    return said({})


@route("GET", "/api/{kind}/{id}/refs", needs="see")
def refs(call: Call) -> Answer:
    requests = {name: commit for name, commit in call.repository.refs.items() if name.startswith("refs/")}
    branches = {name: commit for name, commit in call.repository.refs.items() if name not in requests}
    rows = {"branches": _refs(branches, "refs/heads/"), "converts": [], "tags": _refs(call.repository.tags, "refs/tags/")}
    return said({**rows, **({"pullRequests": _refs(requests, "")} if call.flag("include_prs") else {})})


def _refs(refs: dict[str, str], prefix: str) -> list[dict[str, str]]:
    return [{"name": name, "ref": prefix + name, "targetCommit": commit} for name, commit in refs.items()]


@route("GET", "/api/{kind}/{id}/commits/{revision}", needs="see")
def commits(call: Call) -> Answer:
    history, more = call.page(list(call.repository.history(call.commit)), call.hub.page)
    return said(
        [
            {"id": past.id, "title": past.title, "message": past.message, "authors": [{"user": past.author}], "date": past.when}
            for past in history
        ],
        headers=more,
    )


@route("GET", "/api/{kind}/{id}/tree/{revision}", needs="see")
@route("GET", "/api/{kind}/{id}/tree/{revision}/{path}", needs="see")
def tree(call: Call) -> Answer:
    top, expand = call.named.get("path", "").strip("/"), call.flag("expand")
    if top not in call.commit.folders:
        raise Refused(error(404, "EntryNotFound", f"{top} does not exist on {call.revision}", {"X-Repo-Commit": call.commit.id}))
    below = f"{top}/" if top else ""
    depth = None if call.flag("recursive") else below.count("/")
    paths = [path for path in call.commit.paths if path.startswith(below) and (depth is None or path.count("/") == depth)]
    page, more = call.page(paths, min(call.hub.page, EXPANDED) if expand else call.hub.page)
    return said([entry(call, path, expand) for path in page], headers={"X-Repo-Commit": call.commit.id, **more})


@route("POST", "/api/{kind}/{id}/paths-info/{revision}", needs="see")
def paths_info(call: Call) -> Answer:
    asked = call.data if "json" in call.request.headers.get("content-type", "") else parse_qs(call.body.decode(), keep_blank_values=True)
    expand = str(asked.get("expand", "")).lower().strip("[']") in ("true", "1")
    if len(asked.get("paths", [])) > 1000:
        return error(413, "", "too many parameters")
    paths = [path for path in asked.get("paths", []) if path in call.commit.files or path in call.commit.folders]
    return said([entry(call, path, expand) for path in paths if path])


def entry(call: Call, path: str, expand: bool) -> dict[str, Any]:
    """A row of a listing."""
    row: dict[str, Any] = {"type": "directory", "oid": call.commit.folders.get(path), "size": 0, "path": path}
    if blob := call.commit.files.get(path):
        row = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
        if blob.sha256:
            row["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
            row |= {"xetHash": blob.sha256[::-1]} if call.hub.xet else {}
    if expand:
        last = call.repository.last_change(call.commit, path)
        row["lastCommit"] = {"id": last.id, "title": last.title, "date": last.when}
    return row


@route("GET HEAD", "/{prefix}{id}/resolve/{revision}/{path}", needs="read")
def resolve(call: Call) -> Answer:
    blob = _file(call)
    if blob.sha256:
        linked = {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
        where = f"{call.hub.lfs}/{call.repository.kind}/{quote(call.repository.id)}/{blob.sha256}?X-Signature={SIGNATURE}"
        return Answer(302, headers={**_headers(call), **linked, "Location": where})
    if call.hub.resolve_cache:  # the Hub of today sends one to another path of its own, without its name
        where = f"/api/resolve-cache/{call.repository.kind}/{call.repository.id}/{call.commit.id}/{quote(call.named['path'], safe='')}"
        linked = {"X-Linked-ETag": f'"{blob.oid}"', "X-Linked-Size": str(blob.size)}
        return Answer(307, headers={**_headers(call), **linked, "Location": where})
    return Answer(body=blob.content, headers={**_headers(call), "ETag": f'"{blob.oid}"'})


@route("GET HEAD", "/api/resolve-cache/{kind}/{id}/{revision}/{path}", needs="read")
def resolved(call: Call) -> Answer:
    blob = _file(call)
    return Answer(body=blob.content, headers={**_headers(call), "ETag": f'"{blob.oid}"'})


def _headers(call: Call) -> dict[str, str]:
    return {"X-Repo-Commit": call.commit.id, "Accept-Ranges": "bytes"}


def _file(call: Call) -> Blob:
    if call.named["path"] not in call.commit.files:
        raise Refused(error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": call.commit.id}))
    return call.commit.files[call.named["path"]]


@route("GET", "/api/{kind}/{id}/revision/{revision}", needs="see")
@route("GET", "/api/{kind}/{id}", needs="see")
def info(call: Call) -> Answer:
    rows = [{"rfilename": path, **(_sibling(blob) if call.flag("blobs") else {})} for path, blob in sorted(call.commit.files.items())]
    card = _card(call.commit.files["README.md"].content) if "README.md" in call.commit.files else None
    return said({**_about(call.repository, call.commit), "cardData": card, "siblings": rows})


def _card(readme: bytes) -> dict[str, Any] | None:
    try:
        card = front_matter(readme)
    except (yaml.YAMLError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def _sibling(blob: Blob) -> dict[str, Any]:
    lfs = {"sha256": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
    return {"blobId": blob.oid, "size": blob.size, **({"lfs": lfs} if blob.sha256 else {})}


def _about(repository: Repository, commit: Commit | None = None) -> dict[str, Any]:
    head = commit or repository.at("main") or Commit({})
    first = next(iter(repository.commits.values()), head)
    facts = {"_id": first.id[:24], "id": repository.id, "author": repository.id.partition("/")[0], "sha": head.id, "createdAt": first.when}
    state = {"private": repository.readers is not None, "gated": repository.gated, "disabled": False, "lastModified": head.when}
    used = {"usedStorage": sum(repository.lfs.values()), "downloads": 0, "likes": 0, "tags": []}
    return {**facts, **state, **used, **({"sdk": repository.sdk} if repository.kind == "spaces" else {"modelId": repository.id})}


def front_matter(readme: bytes) -> Any:
    """What a README.md says between its first two lines of dashes; None where it says nothing. Raises yaml.YAMLError, or ValueError."""
    found = re.match(r"---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", readme.decode("utf-8", "replace"), re.DOTALL | re.MULTILINE)
    return yaml.safe_load(found[1]) if found else None
