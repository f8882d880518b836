"""Fixtures that several tests share: tiny models, and a project in which everything has been made once."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from polar_tools import options
from tests import mlflow_server as mlflow
from tests import tiny
from tests.mlflow_server import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fix", action="store_true", help="Write generated files anew instead of failing where they are out of date.")


os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # tests run beside each other, and threads that spin while they wait slow all of them
os.environ.update(options.REPEATABLE)  # before any test imports torch, which reads it once: what runs in this process sums as commands do


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a stage that ran in this process told its libraries is not told to the next test's."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made by whichever test process comes first."""
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def assets(shared: Path) -> Path:
    """Tiny models and rows. Read only."""
    return made_once(shared / "tiny-assets", tiny.make_assets)


@pytest.fixture(scope="session")
def finished(shared: Path, assets: Path) -> Path:
    """A tiny project after a whole run of its workflow. Read only: copy it with `project`."""

    def make(folder: Path) -> None:
        tiny.make_project(folder, assets)
        done = tiny.run("snakemake", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert f"Provided cores: {os.cpu_count()}" in done.stdout + done.stderr, "jobs would run beside each other without bounds"

    return made_once(shared / "tiny-finished", make)


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A finished project of the test's own, with the times of the original."""
    return Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))


@pytest.fixture
def fresh(assets: Path, tmp_path: Path) -> Path:
    """A project of the test's own in which nothing has been made."""
    tiny.make_project(tmp_path / "project", assets)
    return tmp_path / "project"


@pytest.fixture
def here(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a model and a CSV: for tests of tools on their own."""
    shutil.copytree(assets / "assets/llama", tmp_path / "llama")
    text = (assets / "assets/rows.csv").read_text(encoding="utf-8")
    (tmp_path / "rows.csv").write_text(text.replace("question,answer", "prompt,completion"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real MLflow server; a test that needs it to be there starts it, for the one before may have killed it."""
    with mlflow.running(tmp_path_factory.mktemp("mlflow-server")) as server:
        yield server
