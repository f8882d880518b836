"""DVC over the outputs: a person clones a tag, pulls, finds all as recorded and nothing to run, changes a parameter, sees what it did."""

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import s3_server
from tests.tiny import REPOSITORY, run


@pytest.fixture
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The settings of a DVC remote, and what the environment must say to reach it."""
    if request.param == "local":
        yield {"url": str(tmp_path / "store")}, {}
        return
    with s3_server.running() as s3:
        files = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")  # DVC wants them to be there where they are named
        environment = {name: value for name, value in s3.environment().items() if name not in files}
        yield {"url": f"s3://{s3.bucket()}/results", "endpointurl": s3.endpoint}, environment


def dvc_yaml() -> str:
    """This repository's DVC stages for the tiny project, in which nothing is converted and other experiments are reported."""
    told = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
    del told["stages"]["models"]
    told["stages"]["experiment"]["do"]["deps"].remove("results/models")
    told["stages"]["report"]["deps"] = ["results/say", "results/sort"]
    return yaml.safe_dump(told, sort_keys=False)


class Person:
    """Somebody in a clone."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment

    def types(self, *words: str) -> str:
        done = run(*words, cwd=self.folder, **self._environment)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout + done.stderr

    def commits(self, message: str) -> None:
        self.types("git", "add", "-A")
        self.types("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", message)

    def planned(self) -> list[str]:
        said = self.types("snakemake", "-n")
        return [line.split("output: ")[1] for line in said.splitlines() if line.startswith("    output: ")]

    def metrics(self) -> Any:
        return json.loads(self.types("dvc", "metrics", "diff", "--json"))


def publish(project: Path, remote: dict[str, str], environment: dict[str, str]) -> Person:
    """The finished project under git and DVC, its results pushed, as the tag v1."""
    for name in (".dvc", ".dvcignore"):
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(project)], check=True)
    (project / "dvc.yaml").write_text(dvc_yaml(), encoding="utf-8")
    (project / ".gitignore").write_text("logs/\nbenchmarks/\n.snakemake/\n/dvc_plots/\n", encoding="utf-8")
    author = Person(project, environment)
    author.types("git", "init", "-q")
    author.types("dvc", "remote", "add", "--default", "store", remote["url"])
    if "endpointurl" in remote:
        author.types("dvc", "remote", "modify", "store", "endpointurl", remote["endpointurl"])
    author.types("dvc", "repro")
    author.types("dvc", "push")
    author.commits("results")
    author.types("git", "tag", "v1")
    return author


@pytest.mark.slow
@pytest.mark.parametrize("remote", ["local", "s3"], indirect=True)
def test_a_clone_pulls_and_a_change_shows(project: Path, tmp_path: Path, remote: tuple[dict[str, str], dict[str, str]]) -> None:
    settings, environment = remote
    author = publish(project, settings, environment)
    author.types("git", "clone", "-q", "--branch", "v1", str(project), str(tmp_path / "clone"))
    clone = Person(tmp_path / "clone", environment)
    assert not records(clone)
    pulled(clone)
    if settings["url"].startswith("s3://"):
        return
    changed(clone)
    made_again(clone)


def pulled(clone: Person) -> None:
    """What `make pull` does, and that nothing has to run then, whatever times the files came with."""
    clone.types("dvc", "pull")
    chance = random.Random(1)
    for file in sorted((clone.folder / "results").rglob("*.json")):
        subprocess.run(["touch", "-d", f"@{1_700_000_000 + chance.randrange(10**7)}", str(file)], check=True)
    clone.types("snakemake", "--quiet", "--dry-run")
    assert "all as recorded" in clone.types("polar-tools", "verify", "results")
    assert clone.planned() == []
    assert "nothing would run" in clone.types("polar-tools", "why")
    assert "up to date" in clone.types("dvc", "status")
    recipe = subprocess.run(
        ["make", "-n", "-o", ".venv/installed-pull", "pull"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert [line.split('" ')[1].split("  #")[0] for line in recipe.stdout.splitlines()] == ["dvc pull", "snakemake --quiet --dry-run"]


def changed(clone: Person) -> None:
    """An edited parameter causes exactly its jobs, and shows in DVC's comparisons."""
    config = clone.folder / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("learning_rate: 1.0e-2", "learning_rate: 5.0e-2", 1), encoding="utf-8")
    after = {"results/say/seed0/train", "results/say/seed0/evaluate/sayings", "results/comparisons/sayings", "results/report"}
    assert set(clone.planned()) == {f"{path}/manifest.json" for path in after}
    parameters = json.loads(clone.types("dvc", "params", "diff", "--json"))
    assert parameters["config/config.yaml"]["experiments.say.learning_rate"] == {"old": 0.01, "new": 0.05, "diff": 0.04}
    before = records(clone)
    clone.types("dvc", "repro")
    assert {path for path, record in records(clone).items() if record != before[path]} == after
    moved = clone.metrics()["results/report/metrics.json"]
    assert moved and all(name.startswith("say.sayings.seed0") for name in moved), moved
    clone.types("dvc", "plots", "diff")
    assert "Training loss" in (clone.folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert clone.planned() == []


def made_again(clone: Person) -> None:
    """A deleted file is made again, by the same work to the same bytes."""
    clone.commits("a higher rate")
    file = clone.folder / "results/say/base/evaluate/sayings/predictions.jsonl"
    before = file.read_bytes()
    file.unlink()
    clone.types("dvc", "repro")
    assert file.read_bytes() == before
    assert "up to date" in clone.types("dvc", "status")


def records(clone: Person) -> dict[str, bytes]:
    found = (path for path in clone.folder.rglob("record.json") if ".dvc" not in path.parts and ".aside" not in path.parent.name)
    return {path.parent.relative_to(clone.folder).as_posix(): path.read_bytes() for path in found}
