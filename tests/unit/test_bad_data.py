"""Bad data and bad specs, through the commands that a person types: one readable message, the right exit status, nothing left."""

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import run

SPLIT = {"test_size": 1, "train_size": None, "stratify": None, "seed": 0}


def prepare(folder: Path, files: dict[str, bytes], **changes: Any) -> tuple[int, str, Path]:
    """`polar-tools prepare` on `files` as a mirrored source; exit status, stderr and the artifact's folder."""
    source, target = folder / "resources/datasets/d", folder / "results/datasets/d"
    for name, data in files.items():
        (source / "snapshot").mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    target.mkdir(parents=True)
    (source / "spec.json").write_text(json.dumps({"stage": "mirror", "source": f"file://{next(iter(files))}", "sha256": None}))
    mirrored = run("polar-tools", "pull-push", str(source), cwd=folder)
    assert mirrored.returncode == 0, mirrored.stderr
    spec = {
        "stage": "prepare",
        "train": {"source": "resources/datasets/d/snapshot"},
        "format": "auto",
        "columns": {},
        "filters": [],
        "split": SPLIT,
    }
    (target / "spec.json").write_text(json.dumps({**spec, **changes}))
    done = run("polar-tools", "prepare", str(target.relative_to(folder)), cwd=folder)
    return done.returncode, done.stderr, target


CSV = "제목,설명\n하나,첫째\n둘,둘째\n셋,셋째\n".encode()


@pytest.mark.parametrize(
    ("name", "data", "changes", "says"),
    [
        ("rows.csv", CSV, {"columns": {"text": "제 목"}}, "no column `제 목`, did you mean `제목`?; the data has `제목`, `설명`"),
        ("rows.csv", CSV, {"filters": [{"name": "missing", "columns": ["text"]}]}, "no column `text`"),
        ("rows.csv", CSV, {"split": {**SPLIT, "test_size": 9}}, "3 rows are left after the filters, and they can't be split so"),
        ("rows.csv", CSV, {"split": {**SPLIT, "stratify": "topic"}}, "split.stratify: there is no column `topic`"),
        ("rows.csv", b"a,b\n1,2\n1\n", {}, "rows.csv, line 3, column `b`: there is no value; the row has 1 of 2"),
        ("rows.csv", b"a,b\n", {}, "there is no row in it"),
        ("rows.jsonl", b'{"a": 1}\n{"a": \n', {}, "rows.jsonl, line 2 is not JSON"),
        ("rows.json", b"[1, 2]", {}, "must hold records"),
        ("rows.json", b'{"a": ', {}, "rows.json is not valid json"),
        ("rows.json", '[{"a": "é"}]'.encode("latin-1"), {}, "rows.json is not valid json"),
        ("rows.parquet", b"PAR1 no", {}, "rows.parquet is not valid parquet"),
        ("rows.xyz", b"hello", {}, "no file that is known by its ending"),
    ],
)
def test_bad_data(tmp_path: Path, name: str, data: bytes, changes: dict[str, Any], says: str) -> None:
    status, message, target = prepare(tmp_path, {name: data}, **changes)
    assert says in message
    assert status == 2
    assert "Traceback" not in message
    assert not (target / "manifest.json").exists()
    assert not (target / "record.json").exists()


def test_csv_keeps_words_and_numbers_as_they_are(tmp_path: Path) -> None:
    from polar_tools.datasets import read_rows

    status, message, target = prepare(tmp_path, {"rows.csv": b"id,word\n007,NA\n1e5,null\n3,\n"})
    assert status == 0, message
    rows = [row for part in ("train", "test") for row in read_rows(target / "data", part)]
    assert sorted((row["id"], row["word"]) for row in rows) == [("007", "NA"), ("1e5", "null"), ("3", "")]


def test_report_counts_rows_from_source_to_split(tmp_path: Path) -> None:
    status, message, target = prepare(tmp_path, {"rows.csv": CSV}, filters=[{"name": "values", "column": "제목", "drop": ["둘"]}])
    assert status == 0, message
    funnel = json.loads((target / "record.json").read_text())["facts"]["funnel"]
    assert [(step["step"], step["rows"]) for step in funnel] == [("source", 3), ("values", 2), ("train", 1), ("test", 1)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_ends_with_a_message_and_nothing_that_counts_as_done(tmp_path: Path, small_disk: Path) -> None:
    chance = random.Random(0)
    rows = "".join(f"{chance.getrandbits(400)},{chance.getrandbits(400)}\n" for _ in range(2000))
    (tmp_path / "results").symlink_to(small_disk)
    status, message, target = prepare(tmp_path, {"rows.csv": f"a,b\n{rows}".encode()})
    assert status == 1
    assert "no space left on the disk" in message
    assert "Traceback" not in message
    assert not (target / "record.json").exists()
    assert not (target / "manifest.json").exists()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (None, "there is no results/x/spec.json"),
        ("{}", "is not a spec"),
        ('{"stage": "mirror", "source": "file://a", "sha256": null}', "is for the stage `mirror`, not for `prepare`"),
        (
            '{"stage": "prepare", "train": {"source": "a/snapshot"}, "format": "auto", "columns": {}, "filters": []}',
            "made from a, not there yet",
        ),
    ],
)
def test_bad_spec(tmp_path: Path, spec: str | None, says: str) -> None:
    (tmp_path / "results/x").mkdir(parents=True)
    (tmp_path / "a").write_text("x")
    if spec is not None:
        (tmp_path / "results/x/spec.json").write_text(spec)
    done = run("polar-tools", "prepare", "results/x/spec.json", cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("polar-tools", "--debug", "prepare", "results/x/spec.json", cwd=tmp_path).stderr
