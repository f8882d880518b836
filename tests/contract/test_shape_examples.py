"""Every shape has an example config that runs and is taken for that shape, and the data that the examples name can be had.

`slow` tests fetch the real data.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from polar_tools import discovery
from polar_tools.cli import group
from tests import example_project
from tests.tiny import REPOSITORY, run

FOLDER = "config/examples/shapes"
EXAMPLES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((REPOSITORY / FOLDER).glob("*.yaml"))}
FETCH = str(REPOSITORY / "examples" / "fetch_data.py")
OWN = [shape for shape, config in EXAMPLES.items() if all("/shapes/data/" in part["source"] for part in config["datasets"].values())]
REAL = [shape for shape in EXAMPLES if shape not in OWN]
SLICE = 400
"""Rows that an example has at most."""


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A project in which something lies wherever the examples have their data."""
    folder = example_project.make(tmp_path / "project", FOLDER)
    example_project.stand_in(folder, (part["source"] for shape in REAL for part in EXAMPLES[shape]["datasets"].values()))
    return folder


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the real data."""
    folder = example_project.make(tmp_path_factory.mktemp("shapes") / "project", FOLDER)
    done = run("python", FETCH, "data", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def files(shapes: list[str]) -> list[str]:
    return [f"{FOLDER}/{shape}.yaml" for shape in shapes]


def prepared(shapes: list[str]) -> set[str]:
    return {f"results/datasets/{name}/manifest.json" for shape in shapes for name in EXAMPLES[shape]["datasets"]}


def dry_run(folder: Path, shapes: list[str]) -> set[str]:
    """What Snakemake would have `prepare` make."""
    return example_project.dry_run(folder, *files(shapes))


def make(folder: Path, shapes: list[str]) -> None:
    """Run the examples, and look at what became of each."""
    done = run("snakemake", "--keep-going", "--configfile", *files(shapes), cwd=folder)
    assert done.returncode == 0, done.stderr
    for shape in shapes:
        for name in EXAMPLES[shape]["datasets"]:
            report: dict[str, Any] = json.loads((folder / f"results/datasets/{name}/report.json").read_bytes())
            assert report["shape"]["name"] == shape, f"{name} was taken for another shape: {report['shape']}"
            assert report["split"]["train"] + report["split"]["test"] <= SLICE
            assert min(report["split"]["train"], report["split"]["test"]) > 0


def test_every_shape_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(discovery.names("shapes"))


@pytest.mark.parametrize("shape", EXAMPLES)
def test_each_is_valid_and_says_what_it_would_make(shape: str, planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planned)
    checked = CliRunner().invoke(group, ["check", f"{FOLDER}/{shape}.yaml"])
    assert checked.exit_code == 0, checked.output
    assert all(path.removesuffix("/manifest.json") in checked.output for path in prepared([shape]))


def test_all_are_planned(planned: Path) -> None:
    assert dry_run(planned, list(EXAMPLES)) == prepared(list(EXAMPLES))


def test_a_config_on_the_command_line_stands_for_itself(planned: Path) -> None:
    shutil.copy(REPOSITORY / "config" / "config.yaml", planned / "config")
    assert dry_run(planned, ["alpaca"]) == prepared(["alpaca"])


def test_each_on_rows_of_our_own_is_taken_for_its_shape(tmp_path: Path) -> None:
    assert len(OWN) >= 5
    make(example_project.make(tmp_path / "project", FOLDER), OWN)


@pytest.mark.slow
def test_each_on_real_data_is_taken_for_its_shape(fetched: Path) -> None:
    make(fetched, REAL)


@pytest.mark.slow
def test_the_real_data_is_whole(fetched: Path) -> None:
    emoji = [json.loads(line) for line in (fetched / "data/emoji/metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(emoji) == len(list((fetched / "data/emoji").glob("*.png"))) == 1911
    assert {"file_name": "1f600.png", "text": "grinning face", "korean": "활짝 웃는 얼굴"} in emoji
    pairs = [json.loads(line) for line in (fetched / "data/movies/preferences.jsonl").read_text(encoding="utf-8").splitlines()]
    snippets = [pair[side] for pair in pairs for side in ("chosen", "rejected")]
    assert len(snippets) == len(set(snippets)) > 5000
    assert all(pair["chosen_rating"] - pair["rejected_rating"] >= 1 for pair in pairs)
    ratings = (fetched / "data/movies/ratings.csv").read_text(encoding="utf-8")
    assert "We’ve seen the hippie turned yuppie plot before" in ratings, "read as latin-1 it would be garbled"


@pytest.mark.slow
def test_nothing_is_fetched_twice(fetched: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (fetched / "data").rglob("*")}
    done = run("python", FETCH, "data", cwd=fetched, PATH=str(Path(sys.executable).parent), PIP_NO_INDEX="1")
    assert (done.returncode, done.stdout.count("there already")) == (0, 4), done.stderr
    assert {path: path.stat().st_mtime_ns for path in (fetched / "data").rglob("*")} == before


def test_a_client_that_is_missing_is_named_and_keeps_nothing_from_the_rest(tmp_path: Path) -> None:
    done = run("python", FETCH, "data", "emoji", "korean_packages", cwd=tmp_path, PATH=str(Path(sys.executable).parent))
    assert done.returncode == 1
    assert "emoji: npm is missing: `apt-get install npm`" in done.stderr
    assert "korean_packages: apt-get is missing" in done.stderr
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo npm error 404 https://me:hunter2@registry/x >&2; exit 1", "npm pack failed; is its registry reachable? It said:"),
        ('echo other bytes > "$5/x.tgz"', "npm sent bytes of emojibase-data@17.0.0 with the sha256"),
    ],
)
def test_a_registry_that_fails_leaves_nothing_behind(script: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "npm").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = run("python", FETCH, "data", "emoji", cwd=tmp_path, PATH=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr and "hunter2" not in done.stderr and "Traceback" not in done.stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_a_source_that_nobody_knows_is_answered_with_how_it_is_run(tmp_path: Path) -> None:
    done = run("python", FETCH, "data", "emojis", cwd=tmp_path)
    assert done.returncode == 1 and "python examples/fetch_data.py data movies" in done.stderr
    assert not (tmp_path / "data").exists()
