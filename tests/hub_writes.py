"""What one can do on a Hub: make, name and remove repositories, commit, branch and tag."""

import base64
import binascii
import json
import re
from dataclasses import replace
from typing import Any

import yaml

from tests.http_server import Answer, said
from tests.hub_git import Blob, Commit, Repository, attributes, ignores, tracking, tracks
from tests.hub_reads import front_matter
from tests.hub_routes import Call, Refused, error, route

REGULAR = 10_000_000  # bytes that a file outside of LFS may have
SDKS = ("docker", "gradio", "static", "streamlit")
NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?")


@route("POST", "/api/repos/create", needs="login")
def create(call: Call) -> Answer:
    kind = f"{call.data.get('type') or 'model'}s"
    repository = Repository(kind, f"{call.data.get('organization') or call.hub.name(call.token)}/{call.data['name']}")
    if kind == "spaces" and call.data.get("sdk") not in SDKS:
        return error(400, "", f"Invalid option: expected one of {', '.join(SDKS)}: sdk")
    repository.sdk = call.data.get("sdk", "static")
    files = {".gitattributes": Blob.regular(attributes(kind))}
    if kind == "spaces":
        name = call.data["name"]
        files["README.md"] = Blob.regular(f"---\ntitle: {name}\nsdk: {repository.sdk}\n---\n".encode())
    repository.add("main", Commit(files, title="initial commit"))
    return said({**_keep(call, repository, call.data), "name": repository.id})


def _keep(call: Call, repository: Repository, settings: dict[str, Any]) -> dict[str, Any]:
    """Give a new repository its place, if whoever asks may write there and nothing else has it."""
    call.hub.check_write(call.token, repository)
    if not NAME.fullmatch(repository.id.partition("/")[2]):
        raise Refused(error(400, "", f"Invalid repo name: {repository.id}"))
    url = f"{call.hub.endpoint}/{'' if repository.kind == 'models' else f'{repository.kind}/'}{repository.id}"
    if f"{repository.kind}/{repository.id}" in call.hub.repositories:
        raise Refused(error(409, "", "You already created this repo", url=url))
    repository.accepted.add(call.token)
    _settle(call, repository, {"visibility": "private" if settings.get("private") else "public", **settings})
    call.hub.moved.pop(f"{repository.kind}/{repository.id}", None)
    call.hub.repositories[f"{repository.kind}/{repository.id}"] = repository
    return {"url": url, "id": repository.id}


def _settle(call: Call, repository: Repository, settings: dict[str, Any]) -> None:
    if "visibility" in settings:
        owners = {call.token} | call.hub.owners.get(repository.id.partition("/")[0], set())
        repository.readers = owners if settings["visibility"] == "private" else None
    if "gated" in settings:
        repository.gated = settings["gated"]
        repository.accepted.add(call.token)


@route("DELETE", "/api/repos/delete", needs="login")
def delete(call: Call) -> Answer:
    name = f"{call.data.get('organization') or call.hub.name(call.token)}/{call.data['name']}"
    repository = call.hub.seen(call.token, f"{call.data.get('type') or 'model'}s", name)
    call.hub.check_write(call.token, repository)
    del call.hub.repositories[f"{repository.kind}/{repository.id}"]
    return said({})


@route("POST", "/api/repos/move", needs="login")
def move(call: Call) -> Answer:
    kind = f"{call.data.get('type') or 'model'}s"
    source, target = call.data["fromRepo"], call.data["toRepo"]
    repository = call.hub.seen(call.token, kind, source)
    for owned in (repository, Repository(kind, target)):
        call.hub.check_write(call.token, owned)
    if f"{kind}/{target}" in call.hub.repositories:
        return error(409, "", "A repository with this name already exists")
    call.hub.repositories[f"{kind}/{target}"] = call.hub.repositories.pop(f"{kind}/{source}")
    call.hub.moved[f"{kind}/{source}"] = repository.id = target
    return said({})


@route("PUT", "/api/{kind}/{id}/settings", needs="write")
def settings(call: Call) -> Answer:
    _settle(call, call.repository, call.data)
    return said({})


@route("POST", "/api/{kind}/{id}/duplicate", needs="read")
def duplicate(call: Call) -> Answer:
    one = call.repository
    twin = replace(one, id=call.data["repository"], gated=False, accepted=set(), lfs=dict(one.lfs))
    twin.commits, twin.refs, twin.tags = dict(one.commits), dict(one.refs), dict(one.tags)
    return said({**_keep(call, twin, call.data), "filesCopyPending": False})


@route("POST", "/api/validate-yaml", needs="nothing")
def validate_yaml(call: Call) -> Answer:
    errors, warnings = _complaints(call.data["content"].encode())
    return said({"errors": errors, "warnings": warnings}, 400 if errors else 200)


def _complaints(readme: bytes) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    try:
        card = front_matter(readme)
    except (yaml.YAMLError, ValueError) as problem:
        return [{"message": f"YAML parse error: {problem}"}], []
    if card is None:
        return [], [{"message": "empty or missing yaml metadata in repo card"}]
    return ([], []) if isinstance(card, dict) else ([{"message": "YAML metadata must be an object"}], [])


@route("POST", "/api/{kind}/{id}/preupload/{revision}", needs="write")
def preupload(call: Call) -> Answer:
    files = call.commit.files
    lfs, hidden = _content(files, ".gitattributes"), call.data.get("gitIgnore", _content(files, ".gitignore").decode())
    rows = []
    for file in call.data["files"]:
        there = files.get(file["path"])
        large = tracks(lfs, file["path"]) or file["size"] > REGULAR
        row = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": ignores(hidden, file["path"])}
        rows.append(row | ({"oid": there.sha256 or there.oid} if there else {}))
    return said({"files": rows, "commitOid": call.commit.id})


def _content(files: dict[str, Blob], path: str) -> bytes:
    return files[path].content if path in files else b""


@route("POST", "/api/{kind}/{id}/commit/{revision}", needs="write")
def commit(call: Call) -> Answer:
    """All of its lines, or nothing."""
    try:
        lines = [(line["key"], line["value"]) for line in map(json.loads, call.body.splitlines())]
        header = next(value for key, value in lines if key == "header")
    except (KeyError, StopIteration, TypeError, ValueError):
        return error(400, "", "Invalid commit: one JSON object with a key and a value a line, one of them the header")
    asks, branch = "create_pr" in call.request.query, call.revision.removeprefix("refs/heads/")
    if not asks and branch not in call.repository.refs:
        return error(400, "", f"Invalid reference for a branch: {call.revision}")
    if (parent := header.get("parentCommit")) and not call.commit.id.startswith(parent):
        return error(412, "", "A commit has happened since. Please refresh and try again.")
    files = dict(call.commit.files)
    for key, value in lines:
        _apply(call, files, key, value)
    _track(files, call.commit.files)
    if errors := _complaints(_content(files, "README.md"))[0]:
        return error(400, "", f"Invalid metadata in README.md: {errors[0]['message']}")
    number = len([name for name in call.repository.refs if name.startswith("refs/pr/")]) + 1
    about = {"title": header["summary"], "message": header.get("description", ""), "author": call.hub.name(call.token)}
    made = Commit(files, call.commit.id, **about)
    if both := set(made.folders) & set(files):
        return error(400, "", f"A file and a folder have the same name: {', '.join(both)}")
    call.repository.add(f"refs/pr/{number}" if asks else branch, made)
    url = f"{call.hub.endpoint}/{'' if call.repository.kind == 'models' else f'{call.repository.kind}/'}{call.repository.id}"
    opened = {"pullRequestUrl": f"{url}/discussions/{number}"} if asks else {}
    return said({"success": True, "commitOid": made.id, "commitUrl": f"{url}/commit/{made.id}", "hookOutput": "", **opened})


def _apply(call: Call, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
    """One line of a commit."""
    path = str(value.get("path", ""))
    if key == "header":
        return
    if key == "deletedFolder":
        inside = [name for name in files if name.startswith(f"{path.strip('/')}/")]
        if not inside:
            raise Refused(error(404, "EntryNotFound", f"A folder with this name doesn't exist: {path}"))
        for name in inside:
            del files[name]
    elif key == "deletedFile":
        if path not in files:
            raise Refused(error(404, "EntryNotFound", f"A file with this name doesn't exist: {path}"))
        del files[path]
    elif not path or {"", ".", "..", ".git"} & set(path.split("/")):
        raise Refused(error(400, "", f"Invalid path: {path}"))
    elif key == "file":
        files[path] = _regular(value)
    elif key == "lfsFile":
        files[path] = _large(call, value)
    else:
        raise Refused(error(400, "", f"Invalid key: {key}"))


def _regular(value: dict[str, Any]) -> Blob:
    try:
        content = base64.b64decode(value["content"], validate=True) if value.get("encoding") == "base64" else value["content"].encode()
    except (AttributeError, KeyError, binascii.Error):
        raise Refused(error(400, "", f"Invalid content: {value.get('path')}")) from None
    if len(content) > REGULAR:
        raise Refused(error(413, "", f"{value['path']} is larger than 10 MB: files of that size must be sent with LFS"))
    return Blob.regular(content)


def _large(call: Call, value: dict[str, Any]) -> Blob:
    size = call.repository.lfs.get(value.get("oid", ""))
    if size is None or value.get("algo") != "sha256" or value.get("size", size) != size:
        words = "Your push was rejected because an LFS pointer pointed to a file that does not exist. Offending file"
        raise Refused(error(400, "", f"{words}: {value['path']}"))
    return Blob.large(value["oid"], size)


def _track(files: dict[str, Blob], before: dict[str, Blob]) -> None:
    """A new LFS file that no pattern gives to LFS gets a line of its own in `.gitattributes`."""
    text = now = _content(files, ".gitattributes")
    for path, blob in files.items():
        if blob.sha256 and before.get(path) != blob and not tracks(now, path):
            text = tracking(text, path)
    if text != now:
        files[".gitattributes"] = Blob.regular(text)


@route("POST", "/api/{kind}/{id}/branch/{branch}", needs="write")
def create_branch(call: Call) -> Answer:
    branch, start = call.named["branch"], call.data.get("startingPoint", "main")
    if branch.startswith("refs/"):
        return error(400, "", f"Invalid reference for a branch: {branch}")
    if branch in call.repository.refs:
        return error(409, "", f"Reference already exists: refs/heads/{branch}")
    call.repository.refs[branch] = call.hub.commit_at(call.repository, start).id
    return said({})


@route("DELETE", "/api/{kind}/{id}/branch/{branch}", needs="write")
def delete_branch(call: Call) -> Answer:
    if call.named["branch"] == "main":
        return error(403, "", "The main branch can't be deleted")
    return _forget(call.repository.refs, call.named["branch"])


@route("POST", "/api/{kind}/{id}/tag/{revision}", needs="write")
def create_tag(call: Call) -> Answer:
    if call.data["tag"] in call.repository.tags:
        return error(409, "", f"Tag reference exists already: refs/tags/{call.data['tag']}")
    call.repository.tags[call.data["tag"]] = call.commit.id
    return said({})


@route("DELETE", "/api/{kind}/{id}/tag/{tag}", needs="write")
def delete_tag(call: Call) -> Answer:
    return _forget(call.repository.tags, call.named["tag"])


def _forget(refs: dict[str, str], name: str) -> Answer:
    if refs.pop(name, None) is None:
        return error(404, "RevisionNotFound", f"Invalid rev id: {name}")
    return said({})


@route("POST", "/api/{kind}/{id}/super-squash/{branch}", needs="write")
def super_squash(call: Call) -> Answer:
    if call.named["branch"] not in call.repository.refs:
        return error(404, "RevisionNotFound", f"Invalid rev id: {call.named['branch']}")
    files = call.hub.commit_at(call.repository, call.named["branch"]).files
    title = call.data.get("message", f"Super-squash branch '{call.named['branch']}'")
    call.repository.add(call.named["branch"], Commit(files, title=title, author=call.hub.name(call.token)))
    return said({})
