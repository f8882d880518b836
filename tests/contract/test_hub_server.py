"""The Hub of the tests is taken for the real one by the clients of the real one, and breaks as it is asked to."""

import hashlib
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, snapshot_download
from huggingface_hub.errors import BadRequestError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from tests import hub_server
from tests.hub_git import ignores, tracking, tracks
from tests.hub_server import Hub
from tests.tiny import REPOSITORY, run

ALICE, BOB = "hf_alice", "hf_bob"
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# A model\n",
    "config.json": b"{}\n",
    "한국어/café 100%.txt": "안녕".encode(),
    "one.bin": random.Random(1).randbytes(2_000_000),
    "sub/deep/two words.dat": random.Random(2).randbytes(10_500_000),
    "sub/three.safetensors": b"",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with hub_server.running() as hub:
        hub.environment(ALICE)
        hub.environment(BOB)
        yield hub


@pytest.fixture
def alice(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=ALICE)


@pytest.fixture
def bob(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=BOB)


@pytest.fixture
def nobody(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def add(api: HfApi, files: dict[str, bytes], repo_id: str = "alice/m", **settings: object) -> str:
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    return str(api.create_commit(repo_id, operations, commit_message="Add", **settings).oid)


def ask(url: str, method: str = "GET", body: bytes | Iterator[bytes] | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """What a server answers."""
    split = urlsplit(url)
    connection = http.client.HTTPConnection(split.netloc)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"{split.path}?{split.query}", body, names, encode_chunked=not isinstance(body, bytes | None))
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def batch(hub: Hub, content: bytes, repo_id: str = "alice/m") -> dict[str, dict]:
    """What to do with an LFS object; {} if it is there."""
    oid = hashlib.sha256(content).hexdigest()
    wanted = {"operation": "upload", "transfers": ["basic", "multipart"], "objects": [{"oid": oid, "size": len(content)}]}
    url = f"{hub.endpoint}/{repo_id}.git/info/lfs/objects/batch"
    said = ask(url, "POST", json.dumps(wanted).encode(), Authorization=f"Bearer {ALICE}")[2]
    return json.loads(said)["objects"][0].get("actions", {})


def puts(hub: Hub) -> int:
    return sum(request.method == "PUT" for request in hub.requests)


# What comes back is what went there


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_folder_comes_back_as_it_went(hub: Hub, alice: HfApi, kind: str, tmp_path: Path) -> None:
    hub.page, hub.multipart_above, hub.part_size, hub.resolve_cache = 2, 5_000_000, 3_000_000, kind == "dataset"
    source, where = write(tmp_path / "source", FILES), {"repo_id": "alice/m", "repo_type": kind}
    alice.create_repo(**where)
    commit = alice.upload_folder(folder_path=source, **where)
    assert puts(hub) == 1 + 4, "one object at once, and one in four parts"
    assert hub.files("alice/m", kind=f"{kind}s").items() > FILES.items()
    assert b"\nsub/deep/two[[:space:]]words.dat filter=lfs" in hub.files("alice/m", kind=f"{kind}s")[".gitattributes"]
    assert alice.upload_folder(folder_path=source, **where).oid == commit.oid and puts(hub) == 5, "nothing is sent twice"
    copy = Path(snapshot_download(**where, endpoint=hub.endpoint, token=ALICE, local_dir=tmp_path / "copy"))
    assert {name: content for name, content in read(copy).items() if name != ".gitattributes"} == FILES
    assert not alice.verify_repo_checksums(**where, local_dir=copy).mismatches
    assert alice.repo_info(**where, files_metadata=True).card_data.license == "mit"


def test_ids_are_those_of_git(hub: Hub, alice: HfApi, tmp_path: Path) -> None:
    alice.create_repo("alice/m")
    add(alice, {"a/b/c": b"", "a/d.txt": b"1", "a-b": b"2", "a.b/c": b"3", "z": b"4"})  # git sorts a folder as if its name ended in /
    write(tmp_path, hub.files("alice/m"))
    git = ["git", "-C", str(tmp_path)]
    for command in (["init", "--quiet"], ["-c", "core.autocrlf=false", "add", "--all"]):
        subprocess.run([*git, *command], check=True)
    written = subprocess.run([*git, "write-tree"], check=True, capture_output=True, text=True).stdout.strip()
    listed = subprocess.run([*git, "ls-tree", "-r", "-t", written], check=True, capture_output=True, text=True).stdout
    expected = {line.split("\t")[1]: line.split()[2] for line in listed.splitlines()}
    rows = alice.list_repo_tree("alice/m", recursive=True)
    assert {row.path: getattr(row, "blob_id", None) or row.tree_id for row in rows} == expected


def test_a_tree_is_listed_as_deep_as_it_is_asked_for(hub: Hub, alice: HfApi) -> None:
    commits = [hub.commit("org/m", dict(list(FILES.items())[:number])) for number in (3, 6)]
    hub.page = 2
    assert {row.path for row in alice.list_repo_tree("org/m")} == {"README.md", "config.json", "one.bin", "sub", "한국어"}
    assert {row.path for row in alice.list_repo_tree("org/m", "sub")} == {"sub/deep", "sub/three.safetensors"}
    rows = {row.path: row for row in alice.list_repo_tree("org/m", recursive=True, expand=True)}
    assert set(rows) == {*FILES, "sub", "sub/deep", "한국어"}
    assert [rows[name].last_commit.oid for name in ("config.json", "한국어", "sub", "one.bin")] == [commits[n] for n in (0, 0, 1, 1)]
    assert rows["one.bin"].lfs.sha256 == hashlib.sha256(FILES["one.bin"]).hexdigest() and rows["config.json"].lfs is None
    assert [row.path for row in alice.get_paths_info("org/m", ["sub", "gone", "config.json"], expand=True)] == ["sub", "config.json"]
    with pytest.raises(HfHubHTTPError, match="Entry Not Found"):
        list(alice.list_repo_tree("org/m", "gone"))


def test_patterns_are_read_as_git_reads_them() -> None:
    text = b"*.bin filter=lfs\nkeep.bin -filter\nsaved/**/* filter=lfs\n# *.txt filter=lfs\n/top.dat filter=lfs\nx?[0-9].a filter=lfs\n"
    large = ["a.bin", "deep/a.bin", "saved/a", "saved/b/c", "top.dat", "xy1.a"]
    assert [name for name in (*large, "keep.bin", "a.txt", "deep/top.dat", "other/saved/a", "x/1.a") if tracks(text, name)] == large
    for name in ("two words [1].dat", "back\\slash*?.dat", "deep/한국어 #.dat"):
        assert tracks(tracking(text, name), name) and not tracks(tracking(text, name), name.replace("d", "e"))
    assert [ignores("*.log\n!keep.log\nbuild/\n", name) for name in ("a.log", "keep.log", "deep/build/x", "built")] == [1, 0, 1, 0]


# Names, branches, history


def test_branches_and_tags_lead_to_commits(hub: Hub, alice: HfApi) -> None:
    alice.create_repo("alice/m")
    first, second = add(alice, {"a": b"1"}), add(alice, {"a": b"2"})
    alice.create_branch("alice/m", branch="feature/x", revision=first)
    alice.create_tag("alice/m", tag="v1", revision=first[:8])
    third = add(alice, {"b": b"3"}, revision="feature/x")
    asked = alice.create_commit("alice/m", [CommitOperationAdd("c", b"4")], commit_message="Asks", create_pr=True)
    refs = alice.list_repo_refs("alice/m", include_pull_requests=True)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": second, "feature/x": third}
    assert [(ref.ref, ref.target_commit) for ref in refs.tags + refs.pull_requests] == [("refs/tags/v1", first), ("refs/pr/1", asked.oid)]
    assert hub.files("alice/m", "v1")["a"] == b"1" and hub.files("alice/m")["a"] == b"2"
    hub.page = 1
    history = alice.list_repo_commits("alice/m", revision="feature/x")
    assert [commit.commit_id for commit in history][:2] == [third, first] and history[2].title == "initial commit"
    assert history[0].authors == ["alice"] and history[0].created_at >= history[1].created_at
    for again in (alice.create_branch, alice.create_tag):
        name = {"branch": "feature/x"} if again == alice.create_branch else {"tag": "v1"}
        again("alice/m", exist_ok=True, **name)
        with pytest.raises(HfHubHTTPError, match="409"):
            again("alice/m", **name)
    alice.delete_branch("alice/m", branch="feature/x")
    alice.delete_tag("alice/m", tag="v1")
    for gone in ("feature/x", "v1", "0" * 40):
        with pytest.raises(RevisionNotFoundError):
            alice.repo_info("alice/m", revision=gone)
    alice.super_squash_history("alice/m")
    assert len(alice.list_repo_commits("alice/m")) == 1 and hub.files("alice/m")["a"] == b"2"


def test_a_stale_parent_is_refused_and_what_is_deleted_is_gone(hub: Hub, alice: HfApi) -> None:
    alice.create_repo("alice/m")
    first = add(alice, {"a": b"1", "sub/b": b"2", "sub/c": b"3"})
    assert add(alice, {"a": b"2"}, parent_commit=first) != first
    with pytest.raises(HfHubHTTPError, match="412"):
        add(alice, {"a": b"3"}, parent_commit=first)
    alice.create_commit("alice/m", [CommitOperationDelete("a"), CommitOperationDelete("sub/")], commit_message="Delete")
    assert set(hub.files("alice/m")) == {".gitattributes"} and hub.files("alice/m", first)["sub/c"] == b"3"
    with pytest.raises(HfHubHTTPError, match="404"):
        alice.delete_file("a", "alice/m")


def test_repositories_are_made_moved_doubled_and_deleted(hub: Hub, alice: HfApi) -> None:
    alice.create_repo("alice/m")
    assert alice.create_repo("alice/m", exist_ok=True).repo_id == "alice/m"
    with pytest.raises(HfHubHTTPError, match="409"):
        alice.create_repo("alice/m")
    head = add(alice, {"one.bin": FILES["one.bin"]})
    alice.create_tag("alice/m", tag="v1")
    alice.duplicate_repo("alice/m", "alice/twin", private=True)
    assert hub.files("alice/twin", "v1") == hub.files("alice/m") and alice.repo_info("alice/twin").sha == head
    alice.move_repo("alice/m", "alice/n")
    assert alice.repo_info("alice/m").id == "alice/n", "the old name leads to the new one"
    assert {repo.id: repo.private for repo in alice.list_models(author="alice")} == {"alice/n": False, "alice/twin": True}
    alice.update_repo_settings("alice/n", private=True, gated="auto")
    about = alice.repo_info("alice/n")
    assert about.private and about.gated == "auto"
    alice.create_repo("alice/s", repo_type="space", space_sdk="static")
    status, _, said = ask(f"{hub.endpoint}/api/repos/create", "POST", b'{"name":"s2","type":"space"}', Authorization=f"Bearer {ALICE}")
    assert status == 400 and b"sdk" in said
    alice.delete_repo("alice/n")
    assert not alice.repo_exists("alice/n")


def test_one_sees_and_writes_what_one_may(hub: Hub, alice: HfApi, bob: HfApi, nobody: HfApi) -> None:
    hub.owners = {"org": {ALICE}}
    assert alice.whoami()["name"] == "alice" and [org["name"] for org in alice.whoami()["orgs"]] == ["org"]
    alice.create_repo("org/m", private=True)
    for api, status in ((bob, "404"), (nobody, "401")):
        with pytest.raises(RepositoryNotFoundError, match=status):
            api.repo_info("org/m")
    alice.update_repo_settings("org/m", visibility="public")
    assert nobody.repo_info("org/m").private is False
    alice.auth_check("org/m", write=True)
    refusals: list[Callable[[], object]] = [
        lambda: bob.auth_check("org/m", write=True),
        lambda: bob.create_repo("org/other"),
        lambda: add(bob, {"a": b"1"}, "org/m"),
        lambda: bob.create_branch("org/m", branch="b"),
        lambda: bob.duplicate_repo("org/m", "org/twin"),
        lambda: bob.delete_repo("org/m", repo_type="model"),
    ]
    for refusal in refusals:
        with pytest.raises(HfHubHTTPError, match="403"):
            refusal()
    with pytest.raises(HfHubHTTPError, match="401"):
        add(nobody, {"a": b"1"}, "org/m")
    hub.readonly = {ALICE}
    with pytest.raises(HfHubHTTPError, match="403"):
        add(alice, {"a": b"1"}, "org/m")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(endpoint=hub.endpoint, token="hf_revoked").whoami()


def test_a_gated_repository_shows_its_files_to_whom_it_accepts(hub: Hub, alice: HfApi, bob: HfApi, tmp_path: Path) -> None:
    alice.create_repo("alice/m")
    alice.update_repo_settings("alice/m", gated="manual")
    assert bob.list_repo_files("alice/m") == [".gitattributes"]
    with pytest.raises(GatedRepoError):
        bob.auth_check("alice/m")
    with pytest.raises(GatedRepoError):
        bob.hf_hub_download("alice/m", ".gitattributes", cache_dir=tmp_path)
    hub.repositories["models/alice/m"].accepted.add(BOB)
    bob.hf_hub_download("alice/m", ".gitattributes", cache_dir=tmp_path)


# What a commit may hold


def commit_lines(hub: Hub, *lines: tuple[str, dict], where: str = "main") -> tuple[int, str]:
    body = [{"key": "header", "value": {"summary": "By hand"}}, *({"key": key, "value": value} for key, value in lines)]
    url = f"{hub.endpoint}/api/models/alice/m/commit/{where}"
    status, _, said = ask(url, "POST", "\n".join(map(json.dumps, body)).encode(), Authorization=f"Bearer {ALICE}")
    return status, said.decode()


def test_a_bad_commit_changes_nothing(hub: Hub, alice: HfApi) -> None:
    alice.create_repo("alice/m")
    head = add(alice, {"a": b"1"})
    large = "QUFB" * (10_000_002 // 3)
    for status, word, line in [
        (413, "10 MB", ("file", {"path": "b", "content": large, "encoding": "base64"})),
        (400, "does not exist", ("lfsFile", {"path": "b", "algo": "sha256", "oid": "0" * 64, "size": 1})),
        (400, "YAML", ("file", {"path": "README.md", "content": "---\na: [\n---\n"})),
        (400, "path", ("file", {"path": "../b", "content": ""})),
        (400, "same name", ("file", {"path": "a/b", "content": ""})),
        (400, "content", ("file", {"path": "b", "content": "?", "encoding": "base64"})),
        (404, "doesn't exist", ("deletedFolder", {"path": "a"})),
    ]:
        refused, said = commit_lines(hub, ("file", {"path": "c", "content": "3"}), line)
        assert (refused, word in said) == (status, True), said
    assert commit_lines(hub, where=head)[0] == 400, "only branches grow"
    assert alice.repo_info("alice/m").sha == head
    with pytest.raises(ValueError, match="Invalid metadata"):
        add(alice, {"README.md": b"---\na: [\n---\n"})
    assert commit_lines(hub, ("file", {"path": "c", "content": "3"}))[0] == 200 and hub.files("alice/m")["c"] == b"3"


def test_commits_at_the_same_time_are_all_kept(hub: Hub, alice: HfApi) -> None:
    alice.create_repo("alice/m")
    threads = [threading.Thread(target=commit_lines, args=(hub, ("file", {"path": str(n), "content": "x"}))) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(hub.files("alice/m")) == {".gitattributes", *map(str, range(40))} and len(alice.list_repo_commits("alice/m")) == 41


# Large files


def test_objects_are_asked_for_in_each_repository(hub: Hub, alice: HfApi) -> None:
    content = FILES["one.bin"]
    for name in ("alice/m", "alice/n"):
        alice.create_repo(name)
    add(alice, {"one.bin": content})
    assert not batch(hub, content) and batch(hub, content, "alice/n")
    wanted = {"target": {"type": "model", "name": "alice/n"}, "files": [{"sha256": hashlib.sha256(content).hexdigest(), "filename": "x"}]}
    url = f"{hub.endpoint}/api/models/alice/m/lfs-files/duplicate"
    assert ask(url, "POST", json.dumps(wanted).encode(), Authorization=f"Bearer {ALICE}")[2] == b'{"failed": []}'
    assert not batch(hub, content, "alice/n")


def test_only_the_right_bytes_are_kept(hub: Hub, alice: HfApi) -> None:
    content = FILES["one.bin"]
    alice.create_repo("alice/m")
    href, check = (batch(hub, content)[name]["href"] for name in ("upload", "verify"))
    verify = json.dumps({"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}).encode()
    assert ask(href, "PUT", content[:-1] + b"?")[0] == 400
    assert ask(href, "PUT", content, Authorization=f"Bearer {ALICE}")[0] == 400, "a token is refused"
    assert ask(href.partition("?")[0], "PUT", content)[0] == 403, "and so is nothing"
    assert ask(href, "PUT", iter([content]), Transfer_Encoding="chunked")[0] == 501, "S3 wants to know the length"
    assert ask(check, "POST", verify, Authorization=f"Bearer {ALICE}")[0] == 400 and batch(hub, content)
    assert ask(href, "PUT", content)[0] == 200 and not batch(hub, content)
    assert ask(check, "POST", verify, Authorization=f"Bearer {ALICE}")[0] == 200
    assert ask(href)[2] == content and ask(href, Range="bytes=5-9")[2] == content[5:10] and ask(href, Range="bytes=-3")[2] == content[-3:]
    assert ask(href, Range=f"bytes={len(content)}-")[0] == 416


def test_parts_make_an_object_with_their_etags(hub: Hub, alice: HfApi) -> None:
    content = FILES["one.bin"]
    hub.multipart_above, hub.part_size = 0, 900_000
    alice.create_repo("alice/m")
    upload = batch(hub, content)["upload"]
    hrefs = [upload["header"][f"{number:05}"] for number in (1, 2, 3)]
    parts = [content[at : at + 900_000] for at in range(0, len(content), 900_000)]
    etags = {number: ask(hrefs[number], "PUT", parts[number])[1]["etag"] for number in (2, 0, 1)}  # in any order

    def complete(**changed: str) -> int:
        named = [{"partNumber": number + 1, "etag": changed.get(f"part{number}", etags[number])} for number in range(3)]
        return ask(upload["href"], "POST", json.dumps({"oid": hashlib.sha256(content).hexdigest(), "parts": named}).encode())[0]

    assert complete(part1="") == complete(part1='"other"') == 400 and batch(hub, content)
    etags[1] = ask(hrefs[1], "PUT", parts[0])[1]["etag"]
    assert complete() == 400 and batch(hub, content), "all parts are there, and one has other bytes"
    etags[1] = ask(hrefs[1], "PUT", parts[1])[1]["etag"]
    assert complete() == complete() == 200 and not batch(hub, content)


# What goes wrong when a test wants it to


@pytest.mark.parametrize("path", ["config.json", "one.bin"])
def test_an_answer_is_spoiled_once_and_as_told(hub: Hub, path: str) -> None:
    hub.commit("org/m", FILES)
    name = hashlib.sha256(FILES[path]).hexdigest() if path == "one.bin" else path
    url = f"{hub.endpoint}/org/m/resolve/main/{path}"
    url = ask(url)[1].get("location", url)
    for kind in ("cut", "wrong", "lost", "busy", "limited", "denied", 500, "slow"):
        hub.fault(kind, f"/{name}")
    with pytest.raises(http.client.IncompleteRead) as broken:
        ask(url)
    assert broken.value.partial == FILES[path][: len(FILES[path]) // 2]
    wrong = ask(url)[2]
    assert sum(one != other for one, other in zip(wrong, FILES[path], strict=True)) == 1
    with pytest.raises(http.client.RemoteDisconnected):
        ask(url)
    assert [ask(url)[0] for _ in range(4)] == [503, 429, 403, 500]
    hub.slow_seconds = 0.2
    assert ask(url)[2] == ask(url)[2] == FILES[path]
    assert [request.sent for request in hub.requests[-2:]] == [len(FILES[path])] * 2


def test_an_upload_is_spoiled_as_told(hub: Hub, alice: HfApi) -> None:
    content = FILES["one.bin"]
    alice.create_repo("alice/m")
    href = batch(hub, content)["upload"]["href"]
    for kind in ("cut", "wrong", "lost"):
        hub.fault(kind, hashlib.sha256(content).hexdigest(), method="PUT")
    with pytest.raises(ConnectionError):
        ask(href, "PUT", content)
    assert hub.requests[-1].received == len(content) // 2 and batch(hub, content)
    assert ask(href, "PUT", content)[0] == 400 and batch(hub, content)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(href, "PUT", content)
    assert not batch(hub, content), "it came, and only its answer did not"
    head = alice.repo_info("alice/m").sha
    for kind in ("cut", "lost"):
        hub.fault(kind, "/commit/")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            commit_lines(hub, ("file", {"path": kind, "content": "x" * 1000}))
    assert set(hub.files("alice/m")) == {".gitattributes", "lost"} and alice.repo_info("alice/m").sha != head


def test_faults_have_methods_and_headers_and_hooks_see_all(hub: Hub, alice: HfApi) -> None:
    hub.commit("org/m", {"a": b"1"})
    hub.fault("limited", "/org/m", headers={"Retry-After": "7", "ratelimit": '"api";r=0;t=1'}, method="POST")
    assert ask(f"{hub.endpoint}/api/models/org/m")[0] == 200
    status, headers, _ = ask(f"{hub.endpoint}/api/models/org/m/preupload/main", "POST", b"{}")
    assert (status, headers["retry-after"], headers["ratelimit"]) == (429, "7", '"api";r=0;t=1')
    hub.fault("busy", "/a")
    assert ask(f"{hub.endpoint}/org/m/resolve/main/a", "HEAD")[0] == 200, "HEAD has faults of its own only"
    hub.before.append(lambda request: hub.commit("org/m", {"a": b"2"}) and hub.before.clear())
    assert ask(f"{hub.endpoint}/org/m/resolve/main/a")[0] == 503
    assert ask(f"{hub.endpoint}/org/m/resolve/main/a")[2] == b"2", "the source grew while it was read"


def test_a_client_survives_what_it_should(hub: Hub, alice: HfApi, tmp_path: Path) -> None:
    alice.create_repo("alice/m")
    oid = hashlib.sha256(FILES["one.bin"]).hexdigest()
    for kind, where in (("busy", "/preupload/"), ("cut", f"/{oid}"), ("busy", "/verify")):
        hub.fault(kind, where, method=None if where != f"/{oid}" else "PUT")
    add(alice, {"one.bin": FILES["one.bin"]})
    hub.fault("cut", f"/{oid}")
    assert Path(alice.hf_hub_download("alice/m", "one.bin", cache_dir=tmp_path)).read_bytes() == FILES["one.bin"]
    hub.fault("busy", "/commit/")
    with pytest.raises(HfHubHTTPError, match="503"):
        add(alice, {"a": b"1"})
    hub.fault("wrong", "/models/alice/m/", method="PUT")
    with pytest.raises(RuntimeError, match=r"two\.bin") as failed:
        add(alice, {"two.bin": b"22"})
    assert isinstance(failed.value.__cause__, BadRequestError)


# Other clients, other processes


LIBRARIES = """
import sys
from pathlib import Path
import datasets, transformers
assets = Path(sys.argv[1]) / "assets"
model = transformers.AutoModelForCausalLM.from_pretrained(assets / "llama")
model.push_to_hub("alice/llama", private=True)
transformers.AutoTokenizer.from_pretrained(assets / "llama").push_to_hub("alice/llama")
again = transformers.AutoModelForCausalLM.from_pretrained("alice/llama", revision="main")
assert all((one == other).all() for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
assert transformers.AutoTokenizer.from_pretrained("alice/llama")("what does").input_ids
rows = datasets.Dataset.from_csv(str(assets / "rows.csv"))
rows.push_to_hub("alice/rows", private=True)
assert datasets.load_dataset("alice/rows", split="train").to_list() == rows.to_list()
assert next(iter(datasets.load_dataset("alice/rows", split="train", streaming=True))) == rows[0]
"""


def test_transformers_and_datasets_push_and_load(hub: Hub, assets: Path, tmp_path: Path) -> None:
    quiet = {"DISABLE_SAFETENSORS_CONVERSION": "1", "HF_HOME": str(tmp_path / "home")}
    done = run(sys.executable, "-c", LIBRARIES, str(assets), cwd=tmp_path, **hub.environment(ALICE), **quiet)
    assert done.returncode == 0, done.stderr
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(hub.files("alice/llama"))
    assert {"README.md", "data/train-00000-of-00001.parquet"} <= set(hub.files("alice/rows", kind="datasets"))


def test_a_hub_of_its_own_process_serves_what_lies_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "models" / "org" / "m", FILES)
    command = [sys.executable, "-m", "tests.hub_server", str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        about = json.loads(process.stdout.readline())
        try:
            status, headers, _ = ask(f"{about['endpoint']}/org/m/resolve/main/one.bin", Authorization=f"Bearer {about['token']}")
            assert status == 302 and ask(headers["location"])[2] == FILES["one.bin"]
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    objects = {path.name: path.stat().st_nlink for path in (tmp_path / "objects").iterdir()}
    assert set(objects.values()) == {2}, "large files are linked, not copied"
