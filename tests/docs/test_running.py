"""The documentation's commands, run as a reader types them, page by page; `python -m tests.docs.pages` lists those that only are parsed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import tiny
from tests.docs import pages, place

RUN = [page for page in pages.every() if any(not command.not_run for command in pages.commands(page))]
INIT = re.compile(r"^polar-tools init (?!.*--model)")
"""It proposes a model of a Hub, for which a tiny one stands here."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Path:
    folder = tmp_path_factory.mktemp("reader") / "project"
    place.make(folder, assets)
    return folder


@pytest.fixture
def reader(lived_in: Path, tmp_path: Path) -> Path:
    """A folder of the test's own, with the times of the original."""
    return Path(shutil.copytree(lived_in, tmp_path / "project", symlinks=True))


def typed(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A line in a shell of this environment; a command that would ask gets no answer."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    words = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("page", [page for page in RUN if "tutorial" not in page])
def test_commands_do_what_the_page_says(page: str, reader: Path) -> None:
    if "--output-dir out" not in pages.text_of(page):  # the model that another page left
        shutil.copytree(reader / "ORG/NAME", reader / "out/model")
    told = [(command, done) for commands in _by_block(page) for command, done in _in_turn(commands, reader)]
    wrong = [
        f"{command.block.place}: {command.text}\n{done.stdout}{done.stderr}"
        for command, done in told
        if done.returncode != command.exit_status
    ]
    assert not wrong, "\n".join(wrong)


def _by_block(page: str) -> Iterator[list[pages.Command]]:
    """The commands of a page that are run, block by block."""
    found = [command for command in pages.commands(page) if command.not_run is None]
    yield from (list(commands) for _, commands in groupby(found, lambda command: command.block.place))


def _in_turn(commands: list[pages.Command], folder: Path) -> Iterator[tuple[pages.Command, subprocess.CompletedProcess[str]]]:
    """Each command and what became of it; a block begins in `folder`, and may go on below it."""
    here = folder
    for command in commands:
        text = f"{command.text} --model {folder / 'minilm'}" if INIT.match(command.text) else command.text
        if (below := here / command.text.removeprefix("cd ")).is_dir() and command.text.startswith("cd "):
            here = below
        else:
            yield command, typed(text, here)


@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/tutorial.ko.md"])
def test_a_table_becomes_a_report_in_under_ten_commands(page: str, reader: Path) -> None:
    folder, count, change = reader, 0, yaml.safe_load(pages.blocks(page, "yaml")[0].text)
    for command in pages.commands(page):
        if command.text.startswith("cd "):
            folder, count = folder / command.text.removeprefix("cd "), count + 1
        elif not command.not_run:
            if command.text == "snakemake":
                _edit(folder / "config/config.yaml", change)
            count += not (folder / "results/report/index.html").exists()
            done = typed(command.text, folder)
            assert done.returncode == 0, f"{command.block.place}: {command.text}\n{done.stdout}{done.stderr}"
    report = (folder / "results/report/index.html").read_text(encoding="utf-8")
    assert "classification" in report and "accuracy" in report
    assert count < 10


def _edit(file: Path, change: dict[str, Any]) -> None:
    """What the tutorial lets a reader change, on rows of which there are fewer."""
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section, entries in change.items():
        for name, fields in entries.items():
            assert name in told[section], f"init called it something else than {name}"
            told[section][name] |= fields
    told["datasets"]["rows"]["filters"][-1]["rows"] = 48
    told["experiments"]["classification"]["max_steps"] = 4
    file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize("page", ["docs/train.md", "docs/evaluate.md"])
def test_programs_run(page: str, reader: Path) -> None:
    for block in pages.blocks(page, "python"):
        if "out/model" in block.text:
            shutil.copytree(reader / "ORG/NAME", reader / "out/model")
        (reader / "page.py").write_text(block.text, encoding="utf-8")
        done = tiny.run("python", "page.py", cwd=reader, PYTHONPATH=str(tiny.REPOSITORY))
        assert done.returncode == 0, f"{block.place}: {done.stderr}"
