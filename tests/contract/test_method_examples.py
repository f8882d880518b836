"""Every training method has an example config, which is valid and can be planned. `make examples` runs them on real models and data."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from polar_tools import discovery
from polar_tools.cli import group
from tests import example_project
from tests.tiny import REPOSITORY, run

FOLDER = "config/examples"
EXAMPLES: dict[str, Any] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((REPOSITORY / FOLDER).glob("*.yaml"))
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which something lies wherever the examples have their models and data."""
    folder = example_project.make(tmp_path_factory.mktemp("methods") / "project", FOLDER)
    parts = (part for example in EXAMPLES.values() for section in ("models", "datasets") for part in example[section].values())
    example_project.stand_in(folder, [part[field] for part in parts for field in ("source", "test_source") if field in part])
    return folder


def test_every_method_has_an_example() -> None:
    of_methods = {name: {told["method"] for told in example["experiments"].values()} for name, example in EXAMPLES.items()}
    assert [name for name in discovery.names("methods") if name not in of_methods.get(name, ())] == []


def test_examples_do_not_get_in_each_others_way() -> None:
    names = [experiment for example in EXAMPLES.values() for experiment in example["experiments"]]
    assert len(names) == len(set(names)), "they would share a folder in results/"


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_valid_and_says_what_it_would_make(name: str, planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planned)
    checked = CliRunner().invoke(group, ["check", f"{FOLDER}/{name}.yaml"])
    assert checked.exit_code == 0, checked.output
    assert all(f"results/{experiment}/seed0/train" in checked.output for experiment in EXAMPLES[name]["experiments"])


def test_all_are_planned_at_once(planned: Path) -> None:
    made = example_project.dry_run(planned, *(f"{FOLDER}/{name}.yaml" for name in EXAMPLES))
    experiments = [experiment for example in EXAMPLES.values() for experiment in example["experiments"]]
    assert {f"results/{name}/{stage}/manifest.json" for name in experiments for stage in ("tokenize", "seed0/train")} <= made


def test_an_example_that_nobody_knows_is_answered_with_those_there_are(planned: Path) -> None:
    done = run("python", str(REPOSITORY / "examples/before_after.py"), "sftt", cwd=planned)
    assert done.returncode == 1 and "there is no example sftt" in done.stderr and "sft" in done.stderr
