"""Two writers can't share an artifact's folder: who is let in, who waits, who is turned away, and what the dead leave behind."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from polar_tools import artifact, lock
from polar_tools import config as configs
from polar_tools.artifact import Facts
from polar_tools.errors import UnfinishedError
from polar_tools.plan import Plan
from tests import options, tiny

CONFIG = """\
datasets:
  rows: {source: file://rows.csv, split: {test_size: 1, seed: 0}}
"""
DATASET = "results/datasets/rows"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset that is mirrored and not yet prepared."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text\na\nb\nc\n", encoding="utf-8")
    plan = Plan(configs.parse(configs.read(_config(tmp_path)), "config.yaml"))
    plan.settle()
    assert tiny.inside("pull-push", "resources/datasets/rows/spec.json", cwd=tmp_path).returncode == 0
    return tmp_path


def _config(folder: Path) -> Path:
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return folder / "config.yaml"


def other(folder: Path, **told: Any) -> lock.Owner:
    """Somebody's lock in `folder`, as it would lie there."""
    owner = lock.Owner(**{**vars(lock._myself()), "token": "another", "since": "2026-01-01T00:00:00+00:00", **told})
    (folder / lock.NAME).write_bytes(owner.as_bytes())
    return owner


def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@contextmanager
def beating(folder: Path, owner: lock.Owner) -> Iterator[None]:
    """The lock's heart beats while this lasts."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            owner.beat += 1
            (folder / lock.NAME).write_bytes(owner.as_bytes())

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()


def test_second_writer_is_told_whose_the_folder_is_and_tries_again_later(project: Path) -> None:
    other(project / DATASET, host="node7", job="4711")
    done = tiny.inside("prepare", f"{DATASET}/spec.json", cwd=project)
    assert done.returncode == 75
    assert f"{DATASET} is being worked on by process {os.getpid()} on node7, Slurm job 4711, since 2026-01-01" in done.stderr
    assert "POLAR_WAIT_SECONDS" in done.stderr
    assert not (project / DATASET / "record.json").exists()
    (project / DATASET / lock.NAME).unlink()
    done = tiny.inside("prepare", f"{DATASET}/spec.json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert [path for path in (project / DATASET).iterdir() if path.name.startswith(lock.NAME)] == []


def test_lock_is_neither_content_nor_change_and_not_asked_for_where_nothing_is_to_do(project: Path) -> None:
    assert tiny.inside("prepare", f"{DATASET}/spec.json", cwd=project).returncode == 0
    before = (project / DATASET / "record.json").read_bytes()
    assert lock.NAME not in before.decode()
    other(project / DATASET)
    assert tiny.inside("verify", DATASET, cwd=project).returncode == 0
    assert "up to date" in tiny.inside("prepare", f"{DATASET}/spec.json", cwd=project).stdout
    assert (project / DATASET / "record.json").read_bytes() == before


def test_lock_of_a_dead_process_is_taken_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for gone in ({"pid": dead()}, {"born": "1"}):  # the second is another process of the same number
        other(tmp_path, **gone)
        with lock.held(tmp_path):
            assert json.loads((tmp_path / lock.NAME).read_bytes())["token"] != "another"
        assert "taking over from process" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_owner_on_another_machine_lives_while_its_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SILENCE", 0.8)
    owner = other(tmp_path, machine="elsewhere")
    with beating(tmp_path, owner), pytest.raises(UnfinishedError, match="is being worked on by process"), lock.held(tmp_path):
        pass
    began = time.monotonic()
    with lock.held(tmp_path):
        assert time.monotonic() - began >= 0.8


def test_who_is_willing_to_wait_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lock.WAIT_VARIABLE, "30")
    monkeypatch.setattr(lock, "LOOK", 0.01)
    order = []
    with ExitStack() as first:
        first.enter_context(lock.held(tmp_path))

        def second() -> None:
            with lock.held(tmp_path):
                order.append("second")

        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_work_that_another_finished_while_this_one_waited_is_not_done_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lock.WAIT_VARIABLE, "30")
    folder, worked = Path(DATASET), list[int]()

    def work(spec: Any, folder: Path) -> Facts:
        worked.append(1)
        (folder / spec.PAYLOAD).mkdir(exist_ok=True)
        time.sleep(0.3)
        return Facts()

    both = [threading.Thread(target=artifact.make, args=(folder, "prepare", work)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    assert worked == [1]
    assert (folder / "manifest.json").is_file()


LOSER = """
import sys, time
from pathlib import Path
from polar_tools import lock
lock.BEAT = 0.05
folder = Path(sys.argv[1])
with lock.held(folder):
    taken = lock._myself()
    taken.host = "node9"
    (folder / ".lock").write_bytes(taken.as_bytes())
    time.sleep(20)
    print("went on writing")
"""
BUSY = """
import sys, numpy
from pathlib import Path
from polar_tools import lock
lock.BEAT = 0.02
folder = Path(sys.argv[1])
with lock.held(folder):
    before = (folder / ".lock").read_bytes()
    matrix = numpy.ones((700, 700))
    for _ in range(12):
        matrix @ matrix
    print((folder / ".lock").read_bytes() != before)
"""


def test_process_that_lost_its_lock_ends_before_it_writes_more(tmp_path: Path) -> None:
    done = options.alone(LOSER, str(tmp_path))
    assert (done.returncode, done.stdout) == (75, "")
    assert "was taken over by process" in done.stderr and "on node9" in done.stderr


def test_heart_beats_while_a_library_computes(tmp_path: Path) -> None:
    assert options.alone(BUSY, str(tmp_path)).stdout == "True\n"


def test_lock_that_another_renewed_while_it_was_taken_away_is_given_back(tmp_path: Path) -> None:
    stale = other(tmp_path, pid=dead()).as_bytes()
    fresh = other(tmp_path, token="fresh").as_bytes()
    lock._take_away(tmp_path / lock.NAME, stale)
    assert (tmp_path / lock.NAME).read_bytes() == fresh
    assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]


def test_many_contenders_are_let_in_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lock.WAIT_VARIABLE, "60")
    monkeypatch.setattr(lock, "LOOK", 0.002)
    other(tmp_path, pid=dead())
    within, most = [], []

    def contend() -> None:
        with lock.held(tmp_path):
            within.append(1)
            most.append(len(within))
            time.sleep(0.005)
            within.pop()

    contenders = [threading.Thread(target=contend) for _ in range(8)]
    for thread in contenders:
        thread.start()
    for thread in contenders:
        thread.join(60)
    assert most == [1] * 8
