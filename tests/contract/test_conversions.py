"""What holds of every program whose configuration is converted; each has a table of values in tests/conversions."""

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import polar_tools
from polar_tools import discovery
from tests.reached import converted
from tests.s3_server import S3
from tests.tiny import inside

PROGRAMS = discovery.names("conversions")
CANARY = "canary"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(program: str) -> ModuleType:
    return importlib.import_module(f"tests.conversions.{program}")


def convert(arguments: Mapping[str, Any], program: str, *words: str) -> tuple[int, str]:
    """Status and all that is seen of the command on a file of arguments."""
    Path("arguments.json").write_text(json.dumps(arguments), encoding="utf-8")
    done = inside("convert", "arguments.json", "--from", program, *words, cwd=Path())
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_spelling_of_every_name_is_answered(program: str, here: Path) -> None:
    of = table(program)
    names = discovery.load("conversions", program).NAMES
    assert set(of.SAMPLES) == set(names), "a name without a value to try, or a value without a name"
    silent = []
    for spelling, value in of.SAMPLES.items():
        rest = {name: one for name, one in of.beside(names[spelling]).items() if names[name] != names[spelling]}
        notes = converted({**rest, spelling: value}, program, here)["notes"]
        if not any(note["name"] == spelling and (note["places"] or note["text"]) for note in notes):
            silent.append(spelling)
    assert not silent


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_name_that_the_program_does_not_have_is_an_error(program: str) -> None:
    of = table(program)
    some = max((name for name in of.SAMPLES if name.isidentifier()), key=len, default=next(iter(of.SAMPLES)))
    status, seen = convert({**of.beside(discovery.load("conversions", program).NAMES[some]), f"{some[:-1]}": 1}, program)
    assert status == 2 and "Traceback" not in seen
    assert f"has no `{some[:-1]}`, did you mean `" in seen


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_secret_is_seen_anywhere(program: str, here: Path) -> None:
    of = table(program)
    if not of.SECRETS:
        assert not [name for name in of.SAMPLES if "token" in name.split("_") or name.endswith("_key")]
        return
    base = of.beside(next(iter(discovery.load("conversions", program).NAMES.values())))
    shown = [
        convert({**base, **of.SECRETS}, program),
        convert({**base, **of.SECRETS}, program, "--json"),
        convert({**base, **of.SECRETS}, program, "--to", "config.yaml"),
        convert({**base, **of.SECRETS, "no_such_name": 1}, program),
        convert({}, program, "--", *(word for name, value in {**base, **of.SECRETS}.items() for word in (f"--{name}", str(value)))),
    ]
    assert [status for status, _ in shown] == [0, 0, 0, 2, 0], shown[0][1]
    (here / "arguments.json").unlink()
    seen = "".join(text for _, text in shown) + "".join(file.read_text("utf-8") for file in here.rglob("*") if file.is_file())
    for name, value in of.SECRETS.items():
        assert CANARY in value
        assert CANARY + value.partition(CANARY)[2].partition("@")[0] not in seen, name
    assert "project_name:" in (here / "config.yaml").read_text("utf-8") or "models:" in (here / "config.yaml").read_text("utf-8")


def test_flat_names_copy_into_a_bucket(seaweed: S3, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = seaweed.environment()
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    key, secret, endpoint = (names[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    (here / "model").mkdir()
    (here / "model/config.json").write_text('{"model_type": "bert"}')
    bucket = seaweed.bucket()
    where = {"push_to_minio": True, "minio_model_save_bucket": bucket, "project_name": "mirror", "minio_url": endpoint}
    polar_tools.pull_and_push_repo(model_name_or_path="./model", minio_access_key=key, minio_secret_key=secret, **where)
    assert list(seaweed.objects(bucket)) == ["mirror/config.json"]
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ
