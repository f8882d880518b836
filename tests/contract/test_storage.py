"""One contract for every storage backend, and what is special about each; all through `polar-tools pull-push`."""

import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from polar_tools import discovery
from tests import hub_server, package_index
from tests.hub_server import Hub
from tests.package_index import Index, sdist, wheel
from tests.tiny import CONFIG, run

TOKEN, PASSWORD = "hf_topsecrettoken", "pa55word-of-the-index"
TREE = {
    "config.json": b'{"hidden_size": 32}\n',
    "empty.txt": b"",
    "한국어/안내 문서.md": "# 안내\r\n".encode(),
    "folder/deeper/café – naïve 100%.csv": b"a,b\n1,2\n",
    "folder/deeper/model.safetensors": random.Random(0).randbytes(3_000_000),
}
LARGE = hashlib.sha256(TREE["folder/deeper/model.safetensors"]).hexdigest()


class LocalCase:
    """file://: a folder promises no hashes, and names no file outside itself."""

    can = {"clash"}
    missing = ("--source", "file://nowhere")

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.folder, self.environment = folder / "source", {}

    def publish(self, files: dict[str, bytes]) -> list[str]:
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
        return ["--source", f"file://{self.folder}"]


class HubCase:
    """hf://: a private repository, read with a token."""

    can = {"clash", "leave", "damage"}
    missing = ("--source", "hf://org/nowhere")

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.hub = servers.enter_context(hub_server.running())
        self.hub.page = 3
        self.environment = self.hub.environment(TOKEN)

    def publish(self, files: dict[str, bytes]) -> list[str]:
        self.hub.commit("org/name", files, readers={TOKEN})
        return ["--source", "hf://org/name@main"]

    def damage(self) -> None:
        self.hub.fault("wrong", f"/{LARGE}")


class PypiCase:
    """pypi://: a wheel on an index that asks for a password."""

    can = {"clash", "leave", "damage"}
    missing = ("--source", "pypi://nowhere==1.0/data", "--sha256", "0" * 64)

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.index = servers.enter_context(package_index.running())
        self.index.login = f"someone:{PASSWORD}"
        self.environment = self.index.environment()

    def publish(self, files: dict[str, bytes]) -> list[str]:
        sha256 = self.index.add(*wheel("thing", "1.0", {f"thing/data/{name}": content for name, content in files.items()}))
        return ["--source", "pypi://thing==1.0/thing/data", "--sha256", sha256]

    def damage(self) -> None:
        self.index.faults.append("wrong")


CASES = {"hub": HubCase, "local": LocalCase, "pypi": PypiCase}
Case = LocalCase | HubCase | PypiCase


@pytest.fixture(params=discovery.names("storage"))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param not in CASES:
        pytest.fail(f"polar_tools/storage/{request.param}.py has no case here: add a class like LocalCase, and name it in CASES")
    with ExitStack() as servers:
        yield CASES[request.param](tmp_path, servers)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server.running() as hub:
        yield hub


@pytest.fixture
def index() -> Iterator[Index]:
    with package_index.running() as index:
        index.login = f"someone:{PASSWORD}"
        yield index


def pull(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`pull-push` into folder/copy (or as `arguments` say); a secret or anything temporary that is left is a failure."""
    temporary = Path(environment.setdefault("TMPDIR", str(folder / "tmp")))
    temporary.mkdir(exist_ok=True)
    target = ("--target", "copy") if "--source" in arguments and "--target" not in arguments else ()
    done = run("polar-tools", "pull-push", *arguments, *target, cwd=folder, **environment)
    assert not list(temporary.iterdir())
    assert not list(folder.rglob("*.part"))
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for secret in (TOKEN, PASSWORD, hub_server.SIGNATURE):
        assert secret not in done.stdout + done.stderr
        assert secret.encode() not in written
    return done


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """The command ended with `status` and one message that holds `words`."""
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr and "looks like a bug" not in done.stderr
    for word in words:
        assert word in done.stderr


def found(folder: Path) -> dict[str, str]:
    return hashes({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()})


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_a_copy_is_exact_and_so_is_a_second_one(case: Case, tmp_path: Path) -> None:
    source = case.publish(TREE)
    for _ in range(2):
        done = pull(tmp_path, *source, **case.environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert found(tmp_path / "copy") == hashes(TREE)


def test_what_is_not_there_is_the_persons_mistake(case: Case, tmp_path: Path) -> None:
    case.publish(TREE)
    refused(pull(tmp_path, *case.missing, **case.environment), 2, case.missing[1].partition("://")[2].partition("/data")[0])
    assert not (tmp_path / "copy").exists()


def test_a_damaged_byte_gets_no_name(case: Case, tmp_path: Path) -> None:
    if "damage" not in case.can:
        pytest.skip("this source promises no hashes: what it holds is what is copied")
    source = case.publish(TREE)
    case.damage()
    refused(pull(tmp_path, *source, **case.environment), 1, "sha256")
    assert found(tmp_path / "copy").items() < hashes(TREE).items()
    assert pull(tmp_path, *source, **case.environment).returncode == 0
    assert found(tmp_path / "copy") == hashes(TREE)


@pytest.mark.parametrize(("ability", "name"), [("clash", "CONFIG.json"), ("leave", "../over.txt")])
def test_bad_names_are_refused_before_anything_is_written(case: Case, ability: str, name: str, tmp_path: Path) -> None:
    if ability not in case.can:
        pytest.skip("no such name can be made in this store")
    source = case.publish({**TREE, name: b"x"})
    refused(pull(tmp_path, *source, **case.environment), 1, name)
    assert not (tmp_path / "copy").exists() and not (tmp_path / "over.txt").exists()


# hf://


def test_a_branch_is_resolved_to_its_commit_and_recorded(hub: Hub, tmp_path: Path) -> None:
    old = hub.commit("org/data", {"a.csv": b"old"}, kind="datasets", ref="refs/pr/1")
    hub.commit("org/data", {"b.csv": b"new"}, kind="datasets")
    artifact = tmp_path / "resources" / "data"
    artifact.mkdir(parents=True)
    (artifact / "spec.json").write_text(json.dumps({"stage": "mirror", "source": "hf://datasets/org/data@refs/pr/1", "sha256": None}))
    done = pull(tmp_path, "resources/data/spec.json", **hub.environment())
    assert done.returncode == 0, done.stderr
    record = json.loads((artifact / "record.json").read_bytes())
    assert record["facts"]["source"]["commit"] == old
    assert {name: about["sha256"] for name, about in record["files"].items()} == hashes({"snapshot/a.csv": b"old"})


@pytest.mark.parametrize(
    ("source", "settings", "status", "words"),
    [
        ("hf://org/name", {"HF_TOKEN": ""}, 2, "private"),
        ("hf://org/name", {"HF_TOKEN": f"{TOKEN}\x01"}, 2, "HF_TOKEN"),
        ("hf://org/name", {"HF_TOKEN": f"{TOKEN}-revoked"}, 1, "Invalid credentials"),
        ("hf://org/name@v9", {}, 2, "v9"),
        ("hf://org/gated", {}, 2, "gated"),
        ("hf://org/name/file.txt", {}, 2, "hf://ORG/NAME"),
        ("hf://org/name", {"HF_HUB_OFFLINE": "1"}, 1, "HF_HUB_OFFLINE"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(
    hub: Hub, source: str, settings: dict[str, str], status: int, words: str, tmp_path: Path
) -> None:
    hub.commit("org/name", TREE, readers={TOKEN})
    hub.commit("org/gated", TREE, gated=True)
    refused(pull(tmp_path, "--source", source, **{**hub.environment(TOKEN), **settings}), status, words)
    assert found(tmp_path / "copy") == {}


def test_a_busy_hub_and_a_cut_connection_are_survived(hub: Hub, tmp_path: Path) -> None:
    hub.commit("org/name", TREE)
    for kind, where in [("busy", "/revision/"), ("busy", "/tree/"), ("busy", "config.json"), ("cut", f"/{LARGE}"), ("cut", "안내")]:
        hub.fault(kind, where)
    done = pull(tmp_path, "--source", "hf://org/name", **hub.environment())
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "copy") == hashes(TREE)
    resumed = [request.headers["range"] for request in hub.requests if LARGE in request.path and "range" in request.headers]
    assert resumed == ["bytes=1048576-"]


def test_a_connection_that_is_always_cut_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.commit("org/name", TREE)
    hub.fault("cut", "config.json", times=100)
    refused(pull(tmp_path, "--source", "hf://org/name", **hub.environment()), 1, "config.json", "broke")
    assert found(tmp_path / "copy") == {}


# pypi://


def test_a_missing_sha256_is_explained(index: Index, tmp_path: Path) -> None:
    wheels = [index.add(*wheel("thing", "1.0", {"a": b"a"})), index.add(*sdist("thing", "1.0", {"a": b"a"}))]
    (tmp_path / "config.yaml").write_text(CONFIG.replace("file://assets/llama", "pypi://thing==1.0/a"))
    checked = run("polar-tools", "check", "config.yaml", cwd=tmp_path)
    assert checked.returncode == 2 and "polar-tools pull-push --source 'pypi://thing==1.0/a'" in checked.stderr
    refused(pull(tmp_path, "--source", "pypi://thing==1.0/a", **index.environment()), 2, *wheels, "thing-1.0.tar.gz")


def test_a_release_that_is_not_as_it_was_pinned_is_refused(index: Index, tmp_path: Path) -> None:
    listed = [index.add(*make("thing", "1.0", {"thing/a": b"a"})) for make in (wheel, sdist)]
    index.add(*wheel("thing", "1.1", {"a": b"a"}))
    for source, sha256, status, words in [
        ("thing==1.0/thing", "0" * 64, 1, [*listed, "thing-1.0-py3-none-any.whl", "thing-1.0.tar.gz"]),
        ("thing==1.0/thing", "abc", 2, ["64"]),
        ("thing==1.0/think/a", listed[0], 2, ["think/a", "thing, thing-1.0.dist-info"]),
        ("thing==9", listed[0], 2, ["1.0, 1.1"]),
        ("thing", listed[0], 2, ["pypi://NAME==VERSION"]),
    ]:
        refused(pull(tmp_path, "--source", f"pypi://{source}", "--sha256", sha256, **index.environment()), status, *words)
        assert not (tmp_path / "copy").exists()


def test_an_sdist_is_unpacked_and_never_run(index: Index, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    program = f"open({str(marker)!r}, 'w').close()\n".encode()
    files = {"setup.py": program, "src/thing/__init__.py": program, **{f"src/data/{name}": content for name, content in TREE.items()}}
    sha256 = index.add(*sdist("thing", "1.0", files, links={"src/linked/passwd": "/etc/passwd"}))
    expected = {"src/data": TREE, "thing-1.0/setup.py": {"setup.py": program}}
    for number, (path, files) in enumerate(expected.items()):
        (tmp_path / str(number)).mkdir()
        done = pull(tmp_path / str(number), "--source", f"pypi://thing==1.0/{path}", "--sha256", sha256, **index.environment())
        assert done.returncode == 0, done.stderr
        assert found(tmp_path / str(number) / "copy") == hashes(files)
    refused(pull(tmp_path, "--source", "pypi://thing==1.0/src", "--sha256", sha256, **index.environment()), 1, "linked/passwd is a link")
    assert not marker.exists()


@pytest.mark.parametrize("place", ["html", "no hashes", "absolute links", "busy once", "index on disk", "folder of wheels"])
def test_archives_are_found_wherever_pip_looks(index: Index, place: str, tmp_path: Path) -> None:
    index.html_only, index.hashes, index.absolute = place == "html", place != "no hashes", place == "absolute links"
    index.faults += ["busy"] * (place == "busy once")
    sha256 = index.add(*wheel("some.thing", "1.0", {"data/a": b"a"}))
    environment = index.environment()
    if place in ("index on disk", "folder of wheels"):
        package_index.on_disk(index, "some-thing", tmp_path / "index")
        settings = (
            {"PIP_EXTRA_INDEX_URL": f"file://{tmp_path}/index/simple"} if place == "index on disk" else {"PIP_FIND_LINKS": "index/files"}
        )
        environment = {**package_index.no_pip(), "PIP_INDEX_URL": "http://127.0.0.1:1/unreachable", **settings}
    done = pull(tmp_path, "--source", "pypi://Some_Thing==1.0.0/data", "--sha256", sha256, **environment)
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "copy") == hashes({"a": b"a"})


@pytest.mark.parametrize(("fault", "words"), [("cut", "can't be fetched"), ("password", "answered 401"), ("gone", "reachable")])
def test_an_index_that_fails_is_the_worlds_doing(index: Index, fault: str, words: str, tmp_path: Path) -> None:
    sha256 = index.add(*wheel("thing", "1.0", {"a": b"a"}))
    environment = index.environment()
    index.faults += ["cut"] * (fault == "cut")
    index.login += "-changed" * (fault == "password")
    if fault == "gone":
        environment["PIP_INDEX_URL"] = f"http://someone:{PASSWORD}@127.0.0.1:1/simple"
    refused(pull(tmp_path, "--source", "pypi://thing==1.0/a", "--sha256", sha256, **environment), 1, words)
    assert not (tmp_path / "copy").exists()


# file://


def test_paths_are_below_the_working_directory_or_absolute(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.csv").write_text("a\n1\n")
    for path in ("rows.csv", f"{tmp_path}/rows.csv"):
        assert pull(tmp_path, "--source", f"file://{path}").returncode == 0
        assert found(tmp_path / "copy") == hashes({"rows.csv": b"a\n1\n"})
    for path, word in [("empty", "no files in the folder"), (f"{tmp_path}/gone", "gone"), ("", "file://PATH")]:
        refused(pull(tmp_path, "--source", f"file://{path}"), 2, word)
    refused(pull(tmp_path, "--source", "flie://rows.csv"), 2, "did you mean `file`")


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, empty."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "files", [TREE, {f"{number:03}": b"small, but each takes a block" for number in range(400)}], ids=["seen before", "met on the way"]
)
def test_a_full_disk_is_said_and_nothing_half_written_has_a_name(small_disk: Path, files: dict[str, bytes], tmp_path: Path) -> None:
    source = LocalCase(tmp_path, ExitStack()).publish(files)
    refused(pull(tmp_path, *source, "--target", str(small_disk / "copy")), 1, "no space left")
    assert found(small_disk).items() <= hashes({f"copy/{name}": content for name, content in files.items()}).items()


def test_a_full_disk_for_temporary_files_is_named(small_disk: Path, index: Index, tmp_path: Path) -> None:
    sha256 = index.add(*wheel("thing", "1.0", TREE))
    source = ("--source", "pypi://thing==1.0", "--sha256", sha256)
    refused(pull(tmp_path, *source, TMPDIR=str(small_disk), **index.environment()), 1, "no space left", str(small_disk))
