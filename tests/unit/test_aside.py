"""Unfinished work of another spec is moved aside, and taken back when that spec is asked for again."""

from pathlib import Path
from typing import Any

import pytest

from polar_tools import artifact, aside
from polar_tools import config as configs
from polar_tools.artifact import Facts
from polar_tools.plan import Plan

CONFIG = """\
datasets:
  rows: {{source: file://rows.csv, split: {{test_size: {size}, seed: 0}}}}
"""
FOLDER = Path("results/datasets/rows")


class KilledError(Exception):
    """The work comes to no end."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text\na\nb\nc\n", encoding="utf-8")
    ask(1)
    artifact.make(Path("resources/datasets/rows"), "mirror", made)


def made(spec: Any, folder: Path) -> Facts:
    """What others read of an artifact must be there."""
    (folder / spec.PAYLOAD).mkdir()
    return Facts()


def ask(size: int) -> None:
    """Have a config ask for so many test rows."""
    Path("config.yaml").write_text(CONFIG.format(size=size), encoding="utf-8")
    Plan(configs.load(Path("config.yaml"))).settle()


def work_on(size: int, found: str | None = None) -> None:
    """Ask for it and work on it for a while; `found` is what an earlier try must have left."""
    ask(size)

    def work(spec: Any, folder: Path) -> Facts:
        assert (folder / "data/left").read_text() == found if found else not (folder / "data").exists()
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data/left").write_text(f"of {size}")
        raise KilledError

    with pytest.raises(KilledError):
        artifact.make(FOLDER, "prepare", work)


def test_work_comes_back_with_its_spec(capsys: pytest.CaptureFixture[str]) -> None:
    work_on(1)
    work_on(2)
    said = capsys.readouterr().out
    assert f"{FOLDER}: what lay there was made from something else (split.test_size: 1 -> 2); it is in {aside.of(FOLDER)} now" in said
    assert (aside.of(FOLDER) / "data/left").read_text() == "of 1"
    work_on(1, found="of 1")
    assert "going on with what was set aside before" in capsys.readouterr().out
    assert (aside.of(FOLDER) / "data/left").read_text() == "of 2"
    work_on(2, found="of 2")
    assert not [path for path in FOLDER.parent.iterdir() if path.name.endswith(".old")]


def test_move_that_was_interrupted_is_gone_on_with() -> None:
    work_on(1)
    (FOLDER / "more").write_text("of 1")
    lot = aside.of(FOLDER)
    lot.mkdir()
    (lot / aside.MADE_FROM).write_bytes((FOLDER / aside.MADE_FROM).read_bytes())
    (FOLDER / "data").rename(lot / "data")
    work_on(2)
    assert {path.name for path in lot.iterdir()} == {aside.MADE_FROM, "data", "more"}
    work_on(1, found="of 1")


def test_what_is_finished_is_moved_aside_too() -> None:
    def work(spec: Any, folder: Path) -> Facts:
        (folder / "data").mkdir()
        (folder / "data/left").write_text("of 1")
        return Facts()

    artifact.make(FOLDER, "prepare", work)
    work_on(2)
    work_on(1, found="of 1")
