"""Each fault at each kind of call, for once and for ever: the copy ends exact, or the command ends with a message; docs/faults.md tells.

Faults that a copy survives are tried at all calls in one run, and call by call only where that run did not survive.
"""

import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests import fault_table, hub_server
from tests.fault_table import SURVIVED, Cells, plain
from tests.hub_server import Answer, Hub, Request
from tests.pulls import TOKEN, hashes, pull, refused
from tests.stores import SMALL, S3Store, Stores, environment

ONE, PARTS = random.Random(4).randbytes(50_000), random.Random(5).randbytes(250_000)
FILES = {**SMALL, "folder/model.safetensors": ONE, "folder/parts.safetensors": PARTS}
OBJECTS = {**SMALL, "folder/large.dat": random.Random(6).randbytes(10_500_000)}
LFS = {path: sha256 for path, sha256 in hashes(FILES).items() if path.endswith(".safetensors")}
FOREVER = 100

HUB_CALLS = {
    "source: info": ("/models/org/name/revision/", "GET"),
    "source: tree": ("/models/org/name/tree/", "GET"),
    "source: small file": ("/config.json", "GET"),
    "source: address of a large file": ("/folder/model.safetensors", "GET"),
    "source: large file": (f"/models/org/name/{LFS['folder/model.safetensors']}", "GET"),
    "target: info": ("/models/me/copy", "GET"),
    "target: create": ("/repos/create", "POST"),
    "target: tree": ("/models/me/copy/tree/", "GET"),
    "target: preupload": ("/preupload/", "POST"),
    "target: LFS batch": ("/objects/batch", "POST"),
    "target: large file": (f"/models/me/copy/{LFS['folder/model.safetensors']}", "PUT"),
    "target: part of a large file": (f"/models/me/copy/{LFS['folder/parts.safetensors']}/", "PUT"),
    "target: completion of the parts": ("/complete_multipart", "POST"),
    "target: verify": ("/objects/verify", "POST"),
    "target: commit": ("/commit/", "POST"),
}
S3_CALLS = {
    "source: list": ("/{bucket}?list-type=2&prefix=source/", "GET"),
    "source: head": ("/{bucket}/source/", "HEAD"),
    "source: small object": ("/{bucket}/source/config.json", "GET"),
    "source: large object": ("/{bucket}/source/folder/large.dat", "GET"),
    "target: list": ("/{bucket}?list-type=2&prefix=a/copy/", "GET"),
    "target: head": ("/{bucket}/a/copy/", "HEAD"),
    "target: put": ("/{bucket}/a/copy/config.json", "PUT"),
    "target: begin of an upload": ("/{bucket}/a/copy/folder/large.dat?uploads", "POST"),
    "target: part": ("/{bucket}/a/copy/folder/large.dat?", "PUT"),
    "target: completion of the parts": ("/{bucket}/a/copy/folder/large.dat?uploadId=", "POST"),
    "target: delete": ("/{bucket}?delete", "POST"),
}
HUB_BODIES = ("source: small file", "source: large file", "target: large file", "target: part of a large file")
S3_BODIES = ("source: small object", "source: large object", "target: put", "target: part")
SOME = ("source: tree", "target: large file", "target: commit")
Run = Callable[[str, Iterable[str], int], str]


@pytest.fixture
def hub_run(tmp_path: Path) -> Run:
    """Copy from Hub to Hub while `times` calls of some kinds go wrong; what came of it."""

    def run(kind: str, calls: Iterable[str], times: int) -> str:
        folder = tmp_path / f"{kind}-{'-'.join(calls)}".replace("/", "_")[:100]
        folder.mkdir()
        with hub_server.running() as hub:
            hub.multipart_above = hub.part_size = 100_000
            hub.slow_seconds = 0.2
            hub.commit("org/name", FILES)
            for call in calls:
                where, method = HUB_CALLS[call]
                hub.fault(kind.partition(" ")[0], where, times, method, asked_to_wait(kind))
            done = copy(hub, folder)
            unmet = len(hub._faults)
            hub._faults.clear()
            if done.returncode != 0:
                return ended(done, lambda: copy(hub, folder), lambda: hub_holds(hub))
            assert unmet == 0 or times > 1, "what didn't happen was not survived"
            hub_holds(hub)
            return SURVIVED

    return run


@pytest.fixture
def s3_run(stores: Stores, tmp_path: Path) -> Run:
    """Copy from bucket to bucket while `times` calls of some kinds go wrong; what came of it."""
    assert stores.s3, "started by this thread: the store ends with the one that started it"

    def run(kind: str, calls: Iterable[str], times: int) -> str:
        store = S3Store(stores)
        (folder := tmp_path / store.bucket).mkdir()
        source = store.publish(OBJECTS)
        store.change("extra.txt", b"to be deleted")
        for call in calls:
            where, method = S3_CALLS[call]
            store.s3.fault(kind, where.format(bucket=store.bucket), times, method)
        command = [*source, *store.target(), "--delete-extra"]
        done = pull(folder, *command, **environment(store))
        unmet = [fault for fault in list(store.s3.faults) if store.bucket in fault[1]]
        for fault in unmet:
            store.s3.faults.remove(fault)

        def holds() -> None:
            assert hashes(store.received()) == hashes(OBJECTS)
            assert store.s3.uploads(store.bucket) == []

        assert store.s3.uploads(store.bucket) == [], "an unfinished upload is paid for, and never seen"
        if done.returncode != 0:
            return ended(done, lambda: pull(folder, *command, **environment(store)), holds)
        assert not unmet or times > 1, "what didn't happen was not survived"
        holds()
        return SURVIVED

    return run


def copy(hub: Hub, folder: Path) -> CompletedProcess[str]:
    return pull(folder, "--source", "org/name", "--target", "me/copy", "--jobs", "2", **hub.environment(TOKEN))


def asked_to_wait(kind: str) -> dict[str, str] | None:
    """The headers by which a Hub says how long it wants to be left alone."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wishes = {"limited": {"Retry-After": "1"}, "limited (date)": {"Retry-After": soon}, "limited (window)": {"ratelimit": '"api";r=0;t=1'}}
    return wishes.get(kind)


def hub_holds(hub: Hub) -> None:
    """The copy is exact, and no commit was made twice or for nothing."""
    assert hashes(hub.files("me/copy")) == hashes(FILES)
    repository = hub.repositories["models/me/copy"]
    states = [commit.files for commit in repository.history(repository.at("main"))]
    assert all(one != other for one, other in pairwise(states))
    assert len(states) == 3, "what the Hub makes itself, the attributes, and all the rest"


def ended(done: CompletedProcess[str], again: Callable[[], CompletedProcess[str]], holds: Callable[[], None]) -> str:
    """The message of a command that gave up; the same command, later, makes good."""
    refused(done, done.returncode)
    repeated = again()
    assert repeated.returncode == 0, repeated.stderr
    holds()
    return plain(done.stderr)


def together(run: Run, kinds: Iterable[str], calls: Iterable[str]) -> Cells:
    """What comes of one fault of each kind at all of the calls, in one run a kind."""
    named = tuple(calls)

    def one(kind: str) -> dict[str, str]:
        if run(kind, named, 1) == SURVIVED:
            return dict.fromkeys(named, SURVIVED)
        return {call: run(kind, [call], 1) for call in named}

    with ThreadPoolExecutor(3) as pool:
        found = dict(zip(kinds, pool.map(one, kinds), strict=True))
    return {("", call, kind): text for kind, texts in found.items() for call, text in texts.items()}


def apart(run: Run, kinds: Iterable[str], calls: Iterable[str], times: int, threads: int = 4) -> Cells:
    """What comes of each fault at each call, in a run of its own."""
    pairs = [(call, kind) for call in calls for kind in kinds]
    with ThreadPoolExecutor(threads) as pool:
        texts = pool.map(lambda pair: run(pair[1], [pair[0]], times), pairs)
    return {("", call, kind): text for (call, kind), text in zip(pairs, texts, strict=True)}


def told(request: pytest.FixtureRequest, section: str, cells: Cells) -> None:
    fault_table.check({(section, call, kind): text for (_, call, kind), text in cells.items()}, request.config.getoption("--fix"))


# One fault


def test_a_fault_of_a_hub_that_passes(hub_run: Run, request: pytest.FixtureRequest) -> None:
    cells = together(hub_run, ("busy", "limited", "cut", "lost", "slow"), HUB_CALLS)
    told(request, "Hub to Hub, once", cells | together(hub_run, ("limited (date)", "limited (window)"), SOME))
    assert set(cells.values()) == {SURVIVED}


def test_a_byte_that_a_hub_spoils(hub_run: Run, request: pytest.FixtureRequest) -> None:
    told(request, "Hub to Hub, once", apart(hub_run, ["wrong"], HUB_BODIES, 1))


def test_what_a_hub_denies(hub_run: Run, request: pytest.FixtureRequest) -> None:
    told(request, "Hub to Hub, for ever", apart(hub_run, ["denied"], HUB_CALLS, FOREVER))


def test_an_answer_of_a_hub_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    """That of a proxy with a login page, for one."""
    page = Answer(body=b"<html>Please log in</html>", headers={"Content-Type": "text/html"})
    for call in ("source: info", "source: tree", "target: tree", "target: preupload", "target: LFS batch", "target: commit"):
        (folder := tmp_path / call).mkdir()
        with hub_server.running() as hub:
            hub.commit("org/name", FILES)
            with hub_server.serving(instead(hub, *HUB_CALLS[call], page)) as endpoint:
                settings = {**hub.environment(TOKEN), "HF_ENDPOINT": endpoint}
                refused(pull(folder, "--source", "org/name", "--target", "me/copy", **settings), 1, "doesn't answer as a Hub does")


def instead(hub: Hub, where: str, method: str, page: Answer) -> Callable[[Request], Answer]:
    return lambda request: page if where in request.where and request.method == method else hub.answer(request)


@pytest.mark.slow
def test_a_fault_of_a_bucket_that_passes(s3_run: Run, request: pytest.FixtureRequest) -> None:
    cells = together(s3_run, ("busy", "limited", "cut", "lost", "slow"), S3_CALLS)
    told(request, "S3 to S3, once", cells)
    assert set(cells.values()) == {SURVIVED}


def test_a_byte_that_a_bucket_spoils(s3_run: Run, request: pytest.FixtureRequest) -> None:
    told(request, "S3 to S3, once", apart(s3_run, ["wrong"], S3_BODIES, 1))


# A fault that never ends


def test_a_hub_that_is_always_busy(hub_run: Run, request: pytest.FixtureRequest) -> None:
    cells = apart(hub_run, ["busy"], HUB_CALLS, FOREVER)
    told(request, "Hub to Hub, for ever", cells)
    assert SURVIVED not in cells.values()


@pytest.mark.slow
def test_a_bucket_that_always_asks_to_wait(s3_run: Run, request: pytest.FixtureRequest) -> None:
    cells = apart(s3_run, ["limited"], S3_CALLS, FOREVER, threads=6)
    told(request, "S3 to S3, for ever", cells)
    assert SURVIVED not in cells.values()


@pytest.mark.slow
def test_all_that_is_always_broken_at_a_hub(hub_run: Run, request: pytest.FixtureRequest) -> None:
    told(request, "Hub to Hub, for ever", apart(hub_run, ["cut", "lost"], HUB_CALLS, FOREVER, threads=10))


@pytest.mark.slow
def test_all_that_is_always_broken_at_a_bucket(s3_run: Run, request: pytest.FixtureRequest) -> None:
    told(request, "S3 to S3, for ever", apart(s3_run, ["busy", "cut", "lost"], S3_CALLS, FOREVER, threads=10))


def test_the_page_speaks_of_no_call_that_is_gone() -> None:
    told_of = {(section.partition(" ")[0], call) for section, call, _ in fault_table.read()}
    assert told_of == {*(("Hub", call) for call in HUB_CALLS), *(("S3", call) for call in S3_CALLS)}


# As long as the Hub asks


@pytest.mark.parametrize("form", ["number", "date", "window"])
def test_a_hub_is_left_alone_for_as_long_as_it_asks(form: str, tmp_path: Path) -> None:
    times: list[float] = []
    with hub_server.running() as hub:

        def asks(request: Request) -> None:
            times.append(time.monotonic())
            if "/org/name/tree/" in request.where and not any("/tree/" in earlier.where for earlier in hub.requests[:-1]):
                later = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
                wishes = {"number": {"Retry-After": "3"}, "date": {"Retry-After": later}, "window": {"ratelimit": '"api";r=0;t=3'}}
                hub.fault("limited", "/tree/", headers=wishes[form])

        hub.commit("org/name", SMALL)
        hub.before.append(asks)
        assert copy(hub, tmp_path).returncode == 0
    assert 2 < max(later - earlier for earlier, later in pairwise(times)) < 8


def test_a_hub_that_asks_for_hours_is_left_to_the_person(tmp_path: Path) -> None:
    with hub_server.running() as hub:
        hub.commit("org/name", SMALL)
        hub.fault("limited", "/commit/", headers={"Retry-After": "7200"})
        refused(copy(hub, tmp_path), 75, "7200 s", "run the same command again")
        assert copy(hub, tmp_path).returncode == 0 and hashes(hub.files("me/copy")) == hashes(SMALL)
