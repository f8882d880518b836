"""An evaluation that is killed goes on with the rows that are missing, and its bytes are those of one that nobody touched."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests import forked, learning
from tests.tiny import inside

EVALUATE = "results/say/base/evaluate/held"
CONFIG = """\
models:
  llama: {source: file://assets/llama}
datasets:
  sayings:
    source: file://rows.jsonl
    split: {test_size: 400, seed: 0}
evaluations:
  held: {dataset: sayings, generation: {max_new_tokens: 48, do_sample: true, temperature: 1.5}, seed: 5}
experiments:
  say: {method: sft, model: llama, dataset: sayings, evaluations: [held], threads: 1}
"""
FILES = ("predictions.jsonl", "report.json", "record.json")
KEPT = f"{EVALUATE}/kept.jsonl"


@pytest.fixture(scope="module")
def ready(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything but the evaluation was made."""
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(assets / "assets", folder / "assets")
    rows = [{"prompt": f"what is {number}?" * (1 + number % 7), "completion": f"it is {number}"} for number in range(420)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with contextlib.chdir(folder):
        learning.make("config.yaml", learning.BEFORE_TRAINING)
    return folder


@pytest.fixture
def project(ready: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready, tmp_path / "project"))


def evaluate(project: Path) -> BaseProcess:
    return forked.start("evaluate", EVALUATE, cwd=project, output=project / "said.txt")


def finished(project: Path) -> dict[str, str]:
    """Evaluate to the end; what was made, by its hash."""
    process = evaluate(project)
    process.join(300)
    assert process.exitcode == 0, (project / "said.txt").read_text()
    assert not (project / KEPT).exists()
    return {name: hashlib.sha256((project / EVALUATE / name).read_bytes()).hexdigest() for name in FILES}


@pytest.fixture(scope="module")
def untouched(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return finished(Path(shutil.copytree(ready, tmp_path_factory.mktemp("untouched") / "project")))


def kept(project: Path) -> int:
    """Batches in the journal."""
    try:
        return (project / KEPT).read_bytes().count(b"\n") - 1
    except FileNotFoundError:
        return 0


def stopped(project: Path, batches: int, number: int) -> int:
    """The status of an evaluation that is stopped by a signal once so many batches are kept."""
    process, began = evaluate(project), time.monotonic()
    while kept(project) < batches and time.monotonic() - began < 240:
        assert process.is_alive(), (project / "said.txt").read_text()
        time.sleep(0.001)
    os.kill(process.pid or 0, number)
    process.join(240)
    return process.exitcode or 0


def test_killed_again_and_again_it_ends_in_the_same_bytes(project: Path, untouched: dict[str, str]) -> None:
    assert stopped(project, 3, signal.SIGKILL) == -signal.SIGKILL
    with (project / KEPT).open("a") as file:
        file.write('{"what": "measuring lo')  # the line that was being written
    assert stopped(project, 26, signal.SIGKILL) == -signal.SIGKILL
    assert not (project / EVALUATE / "manifest.json").exists()
    rows = [json.loads(line) for line in (project / KEPT).read_text().splitlines()[1:]]
    assert {"measuring losses", "writing"} == {row["what"] for row in rows}
    assert finished(project) == untouched
    assert (project / "said.txt").read_text().count("going on: ") == 2


def test_told_to_stop_it_keeps_its_batch_and_asks_for_the_same_command(project: Path, untouched: dict[str, str]) -> None:
    assert stopped(project, 2, signal.SIGTERM) == 75
    assert kept(project) >= 2
    assert finished(project) == untouched


def test_other_work_takes_nothing_over_but_other_metrics_do(project: Path) -> None:
    stopped(project, 27, signal.SIGKILL)
    for change, taken in (("max_new_tokens: 48", False), ("{dataset: sayings, ", True)):
        other = {"max_new_tokens: 48": "max_new_tokens: 4", "{dataset: sayings, ": "{dataset: sayings, metrics: [rouge], "}[change]
        copy = Path(shutil.copytree(project, project.with_name(str(taken))))
        (copy / "config.yaml").write_text(CONFIG.replace(change, other), encoding="utf-8")
        with contextlib.chdir(copy):
            learning.make("config.yaml", learning.BEFORE_TRAINING)
        done = inside("evaluate", EVALUATE, cwd=copy)
        assert done.returncode == 0, done.stderr
        assert ("going on: " in done.stdout) == taken
        assert "what lay there was made from something else" in done.stdout
