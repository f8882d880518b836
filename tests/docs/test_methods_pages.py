"""The how-to of each method: its config runs from sources to the report, on the rows that the page shows, by a tiny model of its kind."""

import contextlib
import csv
import io
import itertools
import random
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from polar_tools import config, discovery, execution
from polar_tools.plan import Plan
from tests.cases import masked_lm, multimodal, seq2seq
from tests.docs import pages

PAGES = [f"docs/methods-{name}.md" for name in ("language", "encoders", "preferences", "rewards")]
TINY = {
    "AutoModelForCausalLM": "llama",
    "AutoModelForSeq2SeqLM": "bart",
    "AutoModelForMaskedLM": "masking",
    "AutoModelForImageTextToText": "gemma",
}
KEPT = ("label", "stars")
"""Columns of which there are no more values than the page shows."""
ROWS = 40


class HowTo(NamedTuple):
    """A section of a page: the method, rows as it shows them, and its config."""

    method: str
    title: str
    rows: str
    config: str


def sections() -> list[HowTo]:
    found = []
    for page in PAGES:
        for title in re.findall(r"^## (\w+)$", pages.text_of(page), re.MULTILINE):
            part = pages.text_of(page).partition(f"## {title}\n")[2].partition("\n## ")[0]
            [rows], [told] = (
                [block for block in pages.FENCE.finditer(part) if block["language"] == language] for language in ("csv", "yaml")
            )
            found.append(HowTo(title, rows["title"], rows["text"], told["text"]))
    return found


def test_every_method_has_a_section() -> None:
    assert sorted(section.method for section in sections()) == list(discovery.names("methods"))


def test_each_section_is_about_its_method() -> None:
    for section in sections():
        told = yaml.safe_load(section.config)
        assert [experiment["method"] for experiment in told["experiments"].values()] == [section.method]


@pytest.mark.slow
@pytest.mark.parametrize("section", sections(), ids=lambda section: section.method)
def test_the_config_runs_on_the_rows_of_the_page(section: HowTo, tmp_path: Path, assets: Path) -> None:
    _lay_models(tmp_path, assets)
    _lay_rows(tmp_path / section.title, section.rows)
    told = yaml.safe_load(section.config)
    [name] = told["experiments"]
    told["models"] = {"base": {"source": f"file://models/{TINY.get(discovery.load('methods', section.method).MODEL_CLASS, 'bert')}"}}
    told["experiments"][name] |= {"threads": 1, "max_steps": 2}
    with contextlib.chdir(tmp_path):
        execution.make(Plan(config.parse(told, "the page")), tmp_path)
    assert (tmp_path / f"results/{name}/seed0/train/model").is_dir()
    assert name in (tmp_path / "results/report/index.html").read_text(encoding="utf-8")


def _lay_models(folder: Path, assets: Path) -> None:
    """models/: one of each kind."""
    for name, case in (("bart", seq2seq), ("masking", masked_lm), ("gemma", multimodal)):
        case.make(folder / name, assets)
        shutil.copytree(folder / name / "assets" / name, folder / "models" / name)
    for name in ("llama", "bert"):
        shutil.copytree(assets / "assets" / name, folder / "models" / name)


def _lay_rows(file: Path, shown: str) -> None:
    """The rows of the page again and again, each a little another; beside a table of pictures the pictures."""
    rows = list(csv.DictReader(io.StringIO(shown)))
    made = [_varied(row, number) for number, row in zip(range(ROWS), itertools.cycle(rows), strict=False)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(made)
    if "file_name" in rows[0]:
        colours = itertools.cycle(multimodal.COLOURS)
        for row in made:
            multimodal.draw(next(colours), random.Random(0)).save(file.parent / row["file_name"])


def _varied(row: dict[str, str], number: int) -> dict[str, Any]:
    if "file_name" in row:
        return {**row, "file_name": f"{number}.png"}
    return {name: value if name in KEPT else f"{value} {number}" for name, value in row.items()}
