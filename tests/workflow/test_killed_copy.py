"""A copy that is killed at any moment: the same command goes on where it was, sends nothing twice, and leaves nothing lying about."""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import hub_server, s3_server
from tests.hub_server import Hub
from tests.pulls import contents, found, hashes
from tests.s3_server import S3
from tests.watched import at_home, watched

JOBS = 4
COMMIT = 100
"""Files that a commit takes at most; those of them that are small are held until then."""

UNNAMED = ".polar-part-"
"""How the empty file begins by which a copy finds out what names a disk can tell apart; after a kill the next run removes it."""


@dataclass
class Place:
    """A target as a test sees it: how it is named, what is whole in it by path, and to which paths bytes have been sent, in order."""

    arguments: list[str]
    environment: dict[str, str]
    landed: Callable[[], dict[str, str]]
    puts: Callable[[], list[str]]
    lost: int
    """Files that may have to be sent again after a kill."""


@pytest.fixture
def hubs() -> Iterator[tuple[Hub, Hub]]:
    with hub_server.running() as source, hub_server.running() as target:
        yield source, target


@pytest.fixture(scope="module")
def s3(tmp_path_factory) -> Iterator[S3]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as store:
        yield store


def files(seed: int, large: tuple[int, int, int], small: tuple[int, int, int]) -> dict[str, bytes]:
    """So many large files (kept by LFS) and small ones, of a size between two."""
    chance = random.Random(seed)
    sizes = {f"{number:03}.safetensors": chance.randint(*large[1:]) for number in range(large[0])}
    sizes |= {f"texts/{number:03}.txt": chance.randint(*small[1:]) for number in range(small[0])}
    return {path: chance.randbytes(size) for path, size in sizes.items()}


def place(where: str, tree: dict[str, bytes], hub: Hub, s3: S3, folder: Path) -> Place:
    if where == "hub":
        return _on_hub(tree, hub)
    if where == "s3":
        return _in_bucket(s3)

    def landed() -> dict[str, str]:
        return {path: digest for path, digest in found(folder / "copy").items() if not path.startswith(UNNAMED)}

    return Place(["--target", "./copy"], {}, landed, list, JOBS)


def _on_hub(tree: dict[str, bytes], hub: Hub) -> Place:
    paths = {digest: path for path, digest in hashes(tree).items()}

    def landed() -> dict[str, str]:
        repository = hub.repositories.get("models/org/copy")
        large = {paths[oid]: oid for oid in repository.lfs} if repository else {}
        there = hub.files("org/copy") if repository and repository.at("main") else {}
        return large | hashes({path: content for path, content in there.items() if path in tree})

    def puts() -> list[str]:
        return [paths[request.where.rpartition("/")[2]] for request in list(hub.requests) if request.method == "PUT"]

    return Place(["--target", "org/copy", "--target-endpoint", hub.endpoint], hub.environment("hf_user"), landed, puts, COMMIT + JOBS)


def _in_bucket(s3: S3) -> Place:
    bucket = s3.bucket()
    top = f"/{bucket}/copy/"

    def landed() -> dict[str, str]:
        return hashes({key.removeprefix("copy/"): content for key, content in s3.objects(bucket).items()})

    def puts() -> list[str]:
        sent = [request.where for request in list(s3.requests) if request.method == "PUT" and request.where.startswith(top)]
        return [where.removeprefix(top).partition("?")[0] for where in sent if "partNumber" not in where or "partNumber=1&" in where]

    return Place(["--target", f"s3://{bucket}/copy"], s3.environment(proxy=True), landed, puts, JOBS)


def bucket_of(to: Place) -> str:
    return to.arguments[1].split("/")[2]


def gets(hub: Hub) -> list[str]:
    """The files that were asked for, in order."""
    asked = [request.where for request in list(hub.requests) if request.method == "GET" and "/resolve/" in request.where]
    return [where.partition("/resolve/")[2].partition("/")[2] for where in asked]


@contextmanager
def running(folder: Path, source: Hub, to: Place, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The copy, with everything that it might leave in folder/home."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    command = ["polar-tools", "pull-push", "--source", "org/name", *to.arguments, "--jobs", str(JOBS), *more]
    environment = at_home(folder / "home", **{**source.environment("hf_user"), **to.environment, "HF_ENDPOINT": source.endpoint})
    with subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def wait_for(condition: Callable[[], object], patience: float = 30) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it didn't come to that"
        time.sleep(0.01)


def settled(landed: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What is in a place when its servers have read what was under way."""
    before, now = None, landed()
    while before != now:
        time.sleep(0.1)
        before, now = now, landed()
    return now


def left_over(folder: Path) -> list[str]:
    """What lies where a copy has nothing to leave: the caches and the folder for temporary files, and beside what was copied."""
    home = [*contents(folder / "home")]
    return home + [path for path in contents(folder / "work") if not path.startswith("copy/") or UNNAMED in path]


def killed_again_and_again(folder: Path, tree: dict[str, bytes], hubs: tuple[Hub, Hub], to: Place, kills: int, moments: float, *more: str):
    """Kill a copy after so many random moments of at most so many seconds, then let it end; how many kills hit it at work."""
    source, wanted, chance, hits = hubs[0], hashes(tree), random.Random(0), 0
    source.commit("org/name", tree)
    for _ in range(kills):
        there, asked, sent = settled(to.landed), len(gets(source)), len(to.puts())
        with running(folder, source, to, *more) as process:
            begun = len(source.requests)
            wait_for(lambda begun=begun, process=process: len(source.requests) > begun or process.poll() is not None)
            time.sleep(chance.uniform(0, moments))
            process.kill()
            hits += process.wait() == -signal.SIGKILL and there.keys() < wanted.keys()
        assert not there.keys() & {*gets(source)[asked:], *to.puts()[sent:]}, "what had landed was sent again"
        now = settled(to.landed)
        assert now.items() <= wanted.items(), "something half is there"
        lost = set(gets(source)[asked:]) - now.keys()
        assert len(lost) <= to.lost, "more was lost than the files in flight and those of one commit"
        assert len([path for path in lost if path.endswith(".safetensors")]) <= JOBS, "large files don't wait for a commit"
        assert not [path for path in left_over(folder) if UNNAMED not in path or (folder / "work" / path).stat().st_size]
    there, asked, sent = settled(to.landed), len(gets(source)), len(to.puts())
    with running(folder, source, to) as process:
        said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert not there.keys() & {*gets(source)[asked:], *to.puts()[sent:]}, "what had landed was sent again"
    assert settled(to.landed) == wanted
    assert not left_over(folder)
    return hits


@pytest.mark.parametrize("where", ["hub", "s3", "folder"])
def test_a_killed_copy_goes_on(where, tmp_path, hubs, s3):
    """30 MB in 40 files."""
    tree = files(1, (5, 2_000_000, 12_000_000), (35, 10_000, 100_000))
    to = place(where, tree, hubs[1], s3, tmp_path / "work")
    assert killed_again_and_again(tmp_path, tree, hubs, to, 4, 1.0, "--bandwidth", "15MB") >= 3
    assert where != "s3" or not s3.uploads(bucket_of(to))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["hub", "s3", "folder"])
def test_a_copy_that_is_killed_twenty_times_goes_on(where, tmp_path, hubs, s3):
    """300 MB in 150 files."""
    tree = files(2, (25, 5_000_000, 20_000_000), (125, 10_000, 300_000))
    to = place(where, tree, hubs[1], s3, tmp_path / "work")
    assert killed_again_and_again(tmp_path, tree, hubs, to, 20, 2.0, "--bandwidth", "40MB") >= 15
    assert where != "s3" or not s3.uploads(bucket_of(to))


@pytest.mark.parametrize("where", ["hub", "s3", "folder"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_copy_that_is_told_to_stop_says_so_and_tidies_up(where, how, tmp_path, hubs, s3):
    tree = files(3, (4, 12_000_000, 12_000_000), (10, 10_000, 100_000))
    hubs[0].commit("org/name", tree)
    to = place(where, tree, hubs[1], s3, tmp_path / "work")
    with running(tmp_path, hubs[0], to, "--bandwidth", "8MB") as process:
        wait_for(lambda: any(path.endswith(".safetensors") for path in gets(hubs[0])))
        wait_for(lambda: where != "s3" or s3.uploads(bucket_of(to)))
        time.sleep(0.5)
        process.send_signal(how)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 75 and said.startswith("error: stopped"), said
    assert "Traceback" not in said and len(said.splitlines()) == 1
    assert not left_over(tmp_path)
    assert where != "s3" or not s3.uploads(bucket_of(to))
    assert all(digest == hashes(tree)[path] for path, digest in settled(to.landed).items() if path in tree)


@pytest.mark.parametrize(("source", "target"), [("hub", "hub"), ("hub", "s3"), ("s3", "hub")])
def test_a_large_file_takes_neither_memory_nor_disk(source, target, tmp_path, hubs, s3):
    """400 MB in one file, while it is copied: under 150 MB of memory, and nothing on the disk."""
    size = 400_000_000
    (tmp_path / "model.safetensors").write_bytes(random.Random(4).randbytes(1_000_000) * (size // 1_000_000))
    bucket = s3.bucket()
    if source == "hub":
        hubs[0].commit("org/name", {"model.safetensors": tmp_path / "model.safetensors"})
    else:
        s3.client().upload_file(str(tmp_path / "model.safetensors"), bucket, "name/model.safetensors")
    ends = {"hub": ("org/name", "org/copy"), "s3": (f"s3://{bucket}/name", f"s3://{bucket}/copy")}
    command = ["polar-tools", "pull-push", "--source", ends[source][0], "--target", ends[target][1]]
    command += ["--target-endpoint", hubs[1].endpoint] * (target == "hub")
    hubs[1].environment("hf_user")
    environment = {**s3.environment(), **hubs[0].environment("hf_user")}
    cost = watched(*command, cwd=tmp_path, folder=tmp_path / "home", **environment)
    assert cost.status == 0, cost.said
    assert cost.memory < 150_000_000 and cost.disk < 1_000_000
    assert not contents(tmp_path / "home")
