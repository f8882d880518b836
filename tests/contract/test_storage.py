"""One contract for every storage backend, and what is special about each; all through `polar-tools pull-push`."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from polar_tools import discovery
from polar_tools.storage.local import blind_to
from tests import hub_server, package_index
from tests.hub_server import Hub
from tests.package_index import Index, sdist, wheel
from tests.pulls import PASSWORD, TOKEN, found, hashes, pull, refused
from tests.stores import SMALL, TREE, Store, Stores, large
from tests.tiny import CONFIG, run


@pytest.fixture(params=discovery.names("storage"))
def case(request: pytest.FixtureRequest, stores: Stores) -> Store:
    return stores[request.param]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server.running() as hub:
        yield hub


@pytest.fixture
def index() -> Iterator[Index]:
    with package_index.running() as index:
        index.login = f"someone:{PASSWORD}"
        yield index


def test_a_copy_is_exact_and_so_is_a_second_one(case: Store, tmp_path: Path) -> None:
    source = case.publish(TREE)
    for _ in range(2):
        done = pull(tmp_path, *source, **case.environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert found(tmp_path / "copy") == hashes(TREE)


def test_what_is_not_there_is_the_persons_mistake(case: Store, tmp_path: Path) -> None:
    case.publish(TREE)
    refused(pull(tmp_path, *case.missing, **case.environment), 2, case.missing[1].partition("://")[2].partition("/data")[0])
    assert not (tmp_path / "copy").exists()


def test_a_damaged_byte_gets_no_name(case: Store, tmp_path: Path) -> None:
    if "damage" not in case.can:
        pytest.skip("this source promises no hashes: what it sends is what is copied")
    source = case.publish(TREE)
    case.damage()
    refused(pull(tmp_path, *source, **case.environment), 1, "sha256")
    assert found(tmp_path / "copy").items() < hashes(TREE).items()
    assert pull(tmp_path, *source, **case.environment).returncode == 0
    assert found(tmp_path / "copy") == hashes(TREE)


def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_written(case: Store, tmp_path: Path) -> None:
    if "leave" not in case.can:
        pytest.skip("no such name can be made in this store")
    source = case.publish({**SMALL, "../over.txt": b"x"})
    refused(pull(tmp_path, *source, **case.environment), 1, "../over.txt")
    assert not (tmp_path / "copy").exists() and not (tmp_path / "over.txt").exists()


def test_names_that_differ_by_case_are_refused_only_by_a_disk_that_cannot_tell(case: Store, tmp_path: Path) -> None:
    files = {**SMALL, "CONFIG.json": b"another one"}
    source = case.publish(files)
    done = pull(tmp_path, *source, **case.environment)
    if "case" in blind_to(tmp_path):
        return refused(done, 1, "CONFIG.json")
    assert (done.returncode, found(tmp_path / "copy")) == (0, hashes(files))


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
    for kind, where in [("busy", "/revision/"), ("busy", "/tree/"), ("busy", "config.json"), ("cut", f"/{large(TREE)}"), ("cut", "안내")]:
        hub.fault(kind, where)
    done = pull(tmp_path, "--source", "hf://org/name", **hub.environment())
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "copy") == hashes(TREE)
    resumed = [request.headers["range"] for request in hub.requests if large(TREE) in request.path and "range" in request.headers]
    assert len(resumed) == 1 and resumed[0] > "bytes=1", "it goes on where it was"


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
def test_a_full_disk_is_said_and_nothing_half_written_has_a_name(
    small_disk: Path, files: dict[str, bytes], stores: Stores, tmp_path: Path
) -> None:
    source = stores["local"].publish(files)
    refused(pull(tmp_path, *source, "--target", str(small_disk / "copy")), 1, "no space left")
    assert found(small_disk).items() <= hashes({f"copy/{name}": content for name, content in files.items()}).items()


def test_a_full_disk_for_temporary_files_is_named(small_disk: Path, index: Index, tmp_path: Path) -> None:
    sha256 = index.add(*wheel("thing", "1.0", TREE))
    source = ("--source", "pypi://thing==1.0", "--sha256", sha256)
    refused(pull(tmp_path, *source, TMPDIR=str(small_disk), **index.environment()), 1, "no space left", str(small_disk))
