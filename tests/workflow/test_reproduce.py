"""A published result made again: it is the same, or what was tampered with is caught and named."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polar_tools import claims
from polar_tools import config as configs
from polar_tools.artifact import sha256_of
from polar_tools.plan import Plan
from polar_tools.records import canonical
from tests import hub_server
from tests.pulls import TOKEN
from tests.tiny import inside, make_project, run

TRAIN, BASE, MEASURED = "results/say/seed0/train", "results/say/base/evaluate/sayings", "results/say/seed0/evaluate/sayings"
LIAR = "the claim does not agree with itself"
PUBLISH = "publish: {say: {experiment: say, folder: published/say, licenses: {llama: apache-2.0, sayings: apache-2.0}}}\n"


def publish(project: Path) -> Path:
    """What `polar-tools publish` makes of the adapter that `say` trained."""
    config = project / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + PUBLISH, encoding="utf-8")
    with contextlib.chdir(project):
        Plan(configs.load(Path("config/config.yaml"))).settle()
    done = inside("publish", "results/publish/say", cwd=project)
    assert done.returncode == 0, done.stderr
    return project / "published/say"


@pytest.fixture(scope="module")
def once(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(Path(shutil.copytree(finished, tmp_path_factory.mktemp("publishing") / "project", symlinks=True)))


@pytest.fixture
def published(once: Path, tmp_path: Path) -> Path:
    """A publication of the test's own."""
    return Path(shutil.copytree(once, tmp_path / "published"))


def reproduce(published: Path, files: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """What `polar-tools reproduce` said, and the certificate that it left."""
    output = published.parent / "reproduced"
    done = inside("reproduce", str(published), "--output", str(output), "--files", str(files), *words, cwd=published.parent)
    certificate = output / "certificate.json"
    return done, json.loads(certificate.read_bytes()) if certificate.is_file() else {}


def verdicts(certificate: dict[str, Any]) -> dict[str, str]:
    return {one["path"]: one["verdict"] for one in certificate["artifacts"]}


def lie(published: Path, path: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record, and all that hangs on its hash, so that the claim agrees with itself."""
    top = published / claims.RECORDS
    file = top / path / "record.json"
    before = sha256_of(file)
    told = json.loads(file.read_bytes())
    change(told)
    file.write_bytes(canonical(told))
    swap(published, before, sha256_of(file))


def swap(published: Path, before: str, now: str) -> None:
    """Let every file that names a hash name another, and those that name these files theirs."""
    for file in sorted((published / "polar").rglob("*.json")):
        text = file.read_text(encoding="utf-8")
        if before in text:
            old = sha256_of(file)
            file.write_text(text.replace(before, now), encoding="utf-8")
            swap(published, old, sha256_of(file))


def agree(published: Path, name: str) -> None:
    """Let the claim name the bytes that a file has now."""
    told = json.loads((published / claims.CLAIM).read_bytes())
    told["sha256"][name] = sha256_of(published / name)
    (published / claims.CLAIM).write_bytes(canonical(told))


def test_what_was_published_can_be_made_again(published: Path, finished: Path) -> None:
    done, certificate = reproduce(published, finished)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\nBIT-IDENTICAL\n")
    assert set(verdicts(certificate).values()) == {"BIT-IDENTICAL"}
    assert {TRAIN, BASE, MEASURED, "resources/models/llama", "results/say/tokenize"} <= set(verdicts(certificate))
    assert not [path for path in verdicts(certificate) if "sort" in path]
    again = inside("reproduce", str(published), "--output", "reproduced", "--files", str(finished), "--json", cwd=published.parent)
    assert json.loads(again.stdout) == certificate, "and nothing is made twice"
    assert "results/say/seed0/train: up to date" in again.stderr
    other = inside("reproduce", str(published), "--output", str(finished / "results"), cwd=published.parent)
    assert other.returncode == 2
    assert "holds something else" in other.stderr


@pytest.mark.slow
def test_sources_are_fetched_at_the_recorded_commits_from_a_hub(assets: Path, tmp_path: Path) -> None:
    make_project(tmp_path / "project", assets)
    project, config = tmp_path / "project", tmp_path / "project/config/config.yaml"
    with hub_server.running() as hub:
        files = {file.name: file.read_bytes() for file in (project / "assets/llama").iterdir()}
        first = hub.commit("org/llama", files, readers={TOKEN})
        text = config.read_text(encoding="utf-8").replace("file://assets/llama", "hf://org/llama@main")
        config.write_text(text.replace("metrics: [rouge, loss]", "metrics: [loss]"), encoding="utf-8")
        surroundings = {**hub.environment(TOKEN), "HF_HUB_OFFLINE": "0"}
        done = run("snakemake", "experiment_say", cwd=project, **surroundings)
        assert done.returncode == 0, done.stderr
        folder = publish(project)
        hub.commit("me/say", {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
        hub.commit("org/llama", {**files, "config.json": b"{}"}, readers={TOKEN})
        again = run("polar-tools", "reproduce", "me/say", "--files", str(project), cwd=tmp_path, **surroundings)
        assert again.returncode == 0, again.stderr + again.stdout
    certificate = json.loads((tmp_path / "reproduced/certificate.json").read_bytes())
    assert certificate["verdict"] == "BIT-IDENTICAL"
    assert certificate["publication"]["commit"]
    record = json.loads((tmp_path / "reproduced/resources/models/llama/record.json").read_bytes())
    assert record["facts"]["source"]["commit"] == first


def test_numbers_alone_are_measured_with_the_published_weights(published: Path, finished: Path) -> None:
    done, certificate = reproduce(published, finished, "--only", "evaluate")
    assert done.returncode == 0, done.stderr
    assert verdicts(certificate)[MEASURED] == "BIT-IDENTICAL"
    assert TRAIN not in verdicts(certificate)


def change_weight(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-2:] = b"\x40\x41"
    file.write_bytes(data)


def test_a_weight_that_was_changed(published: Path, finished: Path) -> None:
    change_weight(published / "adapter_model.safetensors")
    done, certificate = reproduce(published, finished)
    assert done.returncode == 1
    assert LIAR in done.stdout
    assert certificate["contradictions"] == ["adapter_model.safetensors: changed"]
    assert certificate["artifacts"] == []
    agree(published, "adapter_model.safetensors")
    _, certificate = reproduce(published, finished, "--output", str(published.parent / "second"))
    assert json.loads((published.parent / "second/certificate.json").read_bytes())["contradictions"] == [
        "adapter_model.safetensors: not the artifact's model/adapter_model.safetensors, as the claim says"
    ]


def test_a_weight_that_was_changed_with_all_that_hangs_on_it(published: Path, finished: Path) -> None:
    name = "model/adapter_model.safetensors"
    before = sha256_of(published / "adapter_model.safetensors")
    change_weight(published / "adapter_model.safetensors")
    agree(published, "adapter_model.safetensors")
    now = sha256_of(published / "adapter_model.safetensors")
    assert before != now
    lie(published, TRAIN, lambda record: record["files"][name].update(sha256=now))
    done, certificate = reproduce(published, finished)
    assert certificate["contradictions"] == []
    assert done.returncode == 1
    assert verdicts(certificate)[TRAIN] == "DIFFERENT"
    assert verdicts(certificate)["results/say/tokenize"] == "BIT-IDENTICAL"
    assert certificate["first_that_differs"]["path"] == TRAIN
    assert "or the claim is wrong" in certificate["first_that_differs"]["why"][0]
    told = next(one for one in certificate["artifacts"] if one["path"] == TRAIN)
    assert told["files"] == [name]
    assert told["weights"][name] > 0.01


def test_a_data_row_that_was_changed(published: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "assets", tmp_path / "files/assets")
    rows = tmp_path / "files/assets/rows.csv"
    rows.write_bytes(rows.read_bytes().replace(b"barks loudly", b"barks lowdly", 1))
    done, certificate = reproduce(published, tmp_path / "files")
    assert done.returncode == 1
    assert certificate["first_that_differs"]["path"] == "resources/datasets/sayings"
    assert "data: snapshot/rows.csv has other bytes" in certificate["first_that_differs"]["why"]
    found = verdicts(certificate)
    assert (found["resources/models/llama"], found["resources/datasets/sayings"]) == ("BIT-IDENTICAL", "DIFFERENT")
    assert found["results/datasets/sayings"] == "DIFFERENT"
    prepared = next(one for one in certificate["artifacts"] if one["path"] == "results/datasets/sayings")
    assert prepared["why"] == ["made from resources/datasets/sayings, which differs"]


def test_a_metric_that_was_changed(published: Path, finished: Path) -> None:
    record = published / claims.RECORDS / MEASURED / "record.json"
    true = json.loads(record.read_bytes())["facts"]["metrics"]["rougeL"]
    lie(published, MEASURED, lambda record: record["facts"]["metrics"].update(rougeL=0.9))
    done, certificate = reproduce(published, finished, "--only", "evaluate")
    assert done.returncode == 1
    assert certificate["contradictions"] == []
    told = next(one for one in certificate["artifacts"] if one["path"] == MEASURED)
    assert told["verdict"] == "DIFFERENT"
    assert told["numbers"] == [{"name": "metrics.rougeL", "claimed": 0.9, "found": true}]
    assert f"metrics.rougeL: claimed 0.9, found {true}" in done.stdout
    assert verdicts(certificate)[BASE] == "BIT-IDENTICAL"


def test_a_metric_within_the_tolerance(published: Path, finished: Path) -> None:
    true = json.loads((published / claims.RECORDS / MEASURED / "record.json").read_bytes())["facts"]["metrics"]["loss"]
    lie(published, MEASURED, lambda record: record["facts"]["metrics"].update(loss=true * 1.005))
    done, certificate = reproduce(published, finished, "--only", "evaluate")
    assert (done.returncode, certificate["verdict"]) == (0, "WITHIN TOLERANCE")
    strict = reproduce(published, finished, "--only", "evaluate", "--tolerance", "0.001")
    assert (strict[0].returncode, strict[1]["verdict"]) == (1, "DIFFERENT")


def test_a_config_value_that_was_changed(published: Path, finished: Path) -> None:
    config = published / claims.CONFIG
    text = config.read_text(encoding="utf-8")
    assert "learning_rate: 0.01" in text
    config.write_text(text.replace("learning_rate: 0.01", "learning_rate: 0.05"), encoding="utf-8")
    agree(published, claims.CONFIG)
    done, certificate = reproduce(published, finished)
    assert done.returncode == 1
    assert certificate["contradictions"] == [f"polar/config.yaml: {TRAIN}: experiment.learning_rate: 0.01 -> 0.05 (recorded -> config)"]


def test_what_cant_be_reproduced(published: Path, tmp_path: Path) -> None:
    done, _ = reproduce(published, tmp_path)
    assert done.returncode == 2
    assert "assets/rows.csv  sha256 " in done.stderr
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/config.json").write_text("{}")
    done = inside("reproduce", str(tmp_path / "plain"), "--output", "elsewhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "it was not published by POLAR" in done.stderr
