"""The documentation's commands, run as a reader types them, page by page; `python -m tests.docs.pages` lists those that other tests run."""

import re
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import tiny
from tests.conftest import made_once
from tests.docs import pages, place, services, shell

ORIGINALS = [page for page in pages.every() if pages.original(page) == page]
RUN = [page for page in ORIGINALS if any(not command.elsewhere for command in pages.commands(page))]
INIT = re.compile(r"^polar-tools init (?!.*--model)")
"""It proposes a model of a Hub, for which a tiny one stands here."""
ENDLESS = re.compile(r"--follow|--watch")
"""What goes on until Ctrl-C; which is no error of theirs."""
INTERRUPTED = (0, 130)
NAMES = {
    "descriptions.rougeL=0.4": "descriptions.rougeL=0.0",
    "make pull": "make -o .venv/installed-pull pull",
}
"""What a tiny model doesn't reach, and what this environment has installed already."""
LICENSES = "--set 'licenses={smollm2: apache-2.0, descriptions: cc-by-sa-4.0}'"
PUBLISH = f"polar-tools publish results/describe/seed0/train --target org/describe --target s3://bucket/models/describe {LICENSES}"
BEFORE = {
    "README.md": (PUBLISH,),
    "docs/convert.md": ("rm config/config.yaml",),
    "docs/reproduce.md": (PUBLISH, "mkdir ../data && cp -r articles.jsonl assets ../data"),
}
"""What somebody did before."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def lived_in(shared: Path, assets: Path) -> Path:
    """A reader's folder in which the workflow has run. Read only."""

    def make(folder: Path) -> None:
        place.make(folder, assets)
        place.live_in(folder)

    return made_once(shared / "lived-in", make)


@pytest.fixture
def reader(lived_in: Path, tmp_path: Path) -> Path:
    """A folder of the test's own, with the times of the original."""
    return Path(shutil.copytree(lived_in, tmp_path / "project", symlinks=True))


@pytest.mark.parametrize("page", [page for page in RUN if "tutorial" not in page])
def test_commands_do_what_the_page_says(page: str, reader: Path, assets: Path) -> None:
    if "--output-dir out" not in pages.text_of(page):  # the model that another page left
        shutil.copytree(reader / "ORG/NAME", reader / "out/model")
    place.lay_configs(page, reader)
    with services.reached(page, assets) as reached:
        if "HF_ENDPOINT" in reached.environment:  # a folder of a repository's name would come first
            for name in ("org", "ORG"):
                shutil.rmtree(reader / name)
        for line in BEFORE.get(page, ()):
            with shell.opened(reader, reached.environment) as bash:
                done = bash.type(_here(line, reader, reached))
                assert done.status == 0, f"{line}\n{done.said}"
        wrong = [found for block in _blocks(page) for found in _wrong(block, reader, reached)]
    assert not wrong, "\n".join(wrong)


def _blocks(page: str) -> Iterator[list[pages.Command]]:
    """The commands of a page that run here, block by block."""
    found = [command for command in pages.commands(page) if not command.elsewhere]
    yield from (list(commands) for _, commands in groupby(found, lambda command: command.block.place))


def _wrong(commands: list[pages.Command], folder: Path, reached: services.Services) -> Iterator[str]:
    """What ends otherwise than the page says, of a block that is typed into one shell."""
    with shell.opened(folder, reached.environment) as bash:
        for command in commands:
            endless = ENDLESS.search(command.text) is not None
            done = bash.type(_here(command.text, folder, reached), endless)
            if done.status not in (INTERRUPTED if endless else (command.exit_status,)):
                yield f"{command.block.place}: {command.text} -> {done.status}\n{done.said}"


def _here(line: str, folder: Path, reached: services.Services) -> str:
    """A line with what stands for the page's names in it."""
    for name, other in {**NAMES, **reached.names}.items():
        line = line.replace(name, other)
    return f"{line} --model {folder / 'minilm'}" if INIT.match(line) else line


def test_a_table_becomes_a_report_in_under_ten_commands(reader: Path) -> None:
    page, folder, count = "docs/tutorial.md", reader, 0
    change = yaml.safe_load(pages.blocks(page, "yaml")[0].text)
    with shell.opened(reader, {}) as bash:
        for command in pages.commands(page):
            if command.elsewhere:
                continue
            if command.text.startswith("cd "):
                folder = folder / command.text.removeprefix("cd ")
            if command.text == "snakemake":
                _edit(folder / "config/config.yaml", change)
            count += not (folder / "results/report/index.html").exists()
            done = bash.type(command.text)
            assert done.status == 0, f"{command.block.place}: {command.text}\n{done.said}"
    report = (folder / "results/report/index.html").read_text(encoding="utf-8")
    assert "classification" in report and "accuracy" in report
    assert count < 10


def _edit(file: Path, change: dict[str, Any]) -> None:
    """What the tutorial lets a reader change, and fewer steps."""
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section, entries in change.items():
        for name, fields in entries.items():
            assert name in told[section], f"init called it something else than {name}"
            told[section][name] |= fields
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
