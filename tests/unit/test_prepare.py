"""`polar-tools prepare` on its own: rows are accounted for, groups stay together, and the page says what became of them."""

import csv
import datetime
import io
import json
import random
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polar_tools.datasets import read_rows
from tests.tiny import inside, run


def prepare(folder: Path, name: str, data: bytes, *settings: str) -> subprocess.CompletedProcess[str]:
    (folder / name).write_bytes(data)
    words = [word for setting in settings for word in ("--set", setting)]
    return inside("prepare", "--source", name, "--output", "prepared", *words, cwd=folder)


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "prepared/dataset/report.json").read_bytes())
    return found


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    return read_rows(folder / "prepared/dataset/data", part)


def table(lines: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


def test_every_row_is_somewhere(tmp_path: Path) -> None:
    chance = random.Random(0)
    lines = [["text", "label", "id"], *([f"문장 {chance.randrange(40)}", chance.choice(["좋음", "나쁨", ""]), str(n)] for n in range(300))]
    raw = table(lines).splitlines(keepends=True)
    bad = sorted(chance.sample(range(1, len(raw)), 30))
    for number in bad:
        raw[number] = chance.choice([b"one,two\r\n", b"\xff,x,y\r\n", b"a,b,c,d\r\n", b"nul\x00,b,c\r\n"])
    done = prepare(tmp_path, "rows.csv", b"".join(raw), "on_bad_row=quarantine", "filters=[missing, {name: duplicates, columns: [text]}]")
    assert done.returncode == 0, done.stderr
    found = report(tmp_path)
    parts = {part: rows(tmp_path, part) for part in ("train", "test")}
    assert {part: len(kept) for part, kept in parts.items()} == {part: found["split"][part] for part in parts}
    dropped = sum(step["dropped"] for step in found["filters"])
    assert found["read"] == {"rows": 300, "quarantined": 30}
    assert sum(found["split"].values()) + dropped + 30 == 300
    reasons = [json.loads(line) for line in (tmp_path / "prepared/dataset/quarantine/reasons.jsonl").read_text().splitlines()]
    kept_raw = (tmp_path / "prepared/dataset/quarantine/rows.bin").read_bytes()
    assert [reason["line"] for reason in reasons] == [number + 1 for number in bad]
    assert [kept_raw[reason["offset"] :][: reason["length"]].rstrip(b"\r\n") for reason in reasons] == [raw[n].rstrip(b"\r\n") for n in bad]
    good = {(text, label) for text, label, _ in csv.reader(b"".join(raw[n] for n in range(1, 301) if n not in bad).decode().splitlines())}
    assert {(row["text"], row["label"]) for kept in parts.values() for row in kept} <= good
    assert run("polar-tools", "verify", "prepared", cwd=tmp_path).returncode == 0


def test_a_bad_row_stops_it_unless_it_may_be_set_aside(tmp_path: Path) -> None:
    done = prepare(tmp_path, "rows.csv", "글,답\n하나,1\n둘\n".encode())
    assert done.returncode == 2
    assert "rows.csv, line 3, column `답`" in done.stderr and "on_bad_row: quarantine" in done.stderr
    assert not (tmp_path / "prepared/dataset/manifest.json").exists()


def test_groups_stand_on_one_side(tmp_path: Path) -> None:
    data = table([["text", "talk"], *([f"turn {n}", str(n % 17)] for n in range(200))])
    done = prepare(tmp_path, "rows.csv", data, "split={test_size: 40, group: talk, seed: 3}")
    assert done.returncode == 0, done.stderr
    train, test = ({row["talk"] for row in rows(tmp_path, part)} for part in ("train", "test"))
    assert train and test and not train & test
    assert 40 <= len(rows(tmp_path, "test")) <= 40 + 12  # whole groups, of at most 12 rows
    refused = prepare(tmp_path, "rows.csv", data, "split={test_size: 40, group: talk, stratify: talk}")
    assert refused.returncode == 2 and "`stratify` goes with neither" in refused.stderr


def test_the_same_rows_give_the_same_bytes_whatever_their_file(tmp_path: Path) -> None:
    lines = [[f"문장 {n}", f"답 {n}"] for n in range(50)]
    forms = {
        "rows.csv": table([["prompt", "completion"], *lines]),
        "rows.tsv": "\n".join("\t".join(line) for line in [["prompt", "completion"], *lines]).encode(),
        "rows.jsonl": b"\n".join(json.dumps(dict(zip(("prompt", "completion"), line, strict=True))).encode() for line in lines),
        "rows.json": json.dumps([dict(zip(("prompt", "completion"), line, strict=True)) for line in lines]).encode(),
    }
    made = set()
    for name, data in forms.items():
        (tmp_path / name).with_suffix("").mkdir(exist_ok=True)
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        done = prepare(folder, name, data)
        assert done.returncode == 0, done.stderr
        made.add(tuple(path.read_bytes() for path in sorted((folder / "prepared/dataset/data").iterdir())))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("columns", "row", "shape", "standard"),
    [
        ("instruction,input,output", "번역해,안녕,hello", "alpaca", {"prompt", "completion"}),
        ("prompt,chosen,rejected", "a,b,c", "preference", {"prompt", "chosen", "rejected"}),
        ("text,label", "글,좋음", "classification", {"text", "label"}),
        ("x,y", "1,2", "none", {"x", "y"}),
    ],
)
def test_it_says_what_it_took_the_data_for(columns: str, row: str, shape: str, standard: set[str], tmp_path: Path) -> None:
    done = prepare(tmp_path, "rows.csv", f"{columns}\n{row}\n{row}\n".encode())
    assert done.returncode == 0, done.stderr
    assert report(tmp_path)["shape"]["name"] == shape
    assert set(rows(tmp_path, "train")[0]) == standard
    page = (tmp_path / "prepared/dataset/report.html").read_text(encoding="utf-8")
    assert f"Taken for: {shape}" in page and "http:" not in page and "https:" not in page


def test_columns_may_be_named_by_position(tmp_path: Path) -> None:
    data = "본문,요약\n긴 글,짧은 글\n또,다시\n".encode()
    settings = ("shape=summarization", "dataset_main_column=본문", "dataset_sub_column=요약")
    assert prepare(tmp_path, "rows.csv", data, *settings).returncode == 0
    assert set(rows(tmp_path, "train")[0]) == {"document", "summary"}
    refused = prepare(tmp_path, "rows.csv", data, *settings[1:])
    assert refused.returncode == 2 and "name the `shape` too" in refused.stderr


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("formatt=csv", "did you mean `format`"),
        ("format=cvs", "did you mean `csv`"),
        ("shape=alpacca", "did you mean `alpaca`"),
        ("x", "FIELD=VALUE"),
        ("decontaminate={policy: drop}", "needs the evaluations"),
    ],
)
def test_a_typo_is_told(setting: str, says: str, tmp_path: Path) -> None:
    done = prepare(tmp_path, "rows.csv", b"text\na\nb\n", setting)
    assert done.returncode == 2 and says in done.stderr
    assert not (tmp_path / "prepared").exists()


def test_dropped_rows_may_hold_what_json_has_no_word_for(tmp_path: Path) -> None:
    texts = ["하나", "하나", "둘", "셋"]
    day = datetime.datetime(2024, 2, 29, 12)
    pictures = [{"bytes": b"\x89PNG", "path": None}] * 4
    columns = {"text": texts, "picture": pictures, "when": [day] * 4, "price": [Decimal("1.50")] * 4, "raw": [[b"\xff"]] * 4}
    stored = io.BytesIO()
    pq.write_table(pa.table(columns), stored)
    filters = "filters=[{name: duplicates, columns: [text]}]"
    done = prepare(tmp_path, "rows.parquet", stored.getvalue(), filters, "shape=none", "split.test_size=1")
    assert done.returncode == 0, done.stderr
    [sample] = report(tmp_path)["filters"][0]["samples"]
    picture = {"bytes": "4 bytes", "path": None}
    shown = {"text": "하나", "picture": picture, "when": "2024-02-29 12:00:00", "price": "1.50", "raw": ["1 bytes"]}
    assert sample == {"row": 1, "values": shown}
    assert rows(tmp_path, "test")[0]["picture"] == pictures[0]
    assert "x89PNG" not in (tmp_path / "prepared/dataset/report.html").read_text()


def test_what_a_filter_dropped_is_shown_unless_it_is_to_be_kept_private(tmp_path: Path) -> None:
    data = table([["text"], ["하나"], [""], ["mail: kim@example.com"], ["둘"]])
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    for folder, filters in ((shown, "[missing]"), (hidden, "[missing, {name: personal_data, action: drop}]")):
        folder.mkdir()
        assert prepare(folder, "rows.csv", data, f"filters={filters}").returncode == 0
    assert report(shown)["filters"] == [
        {"part": "train", "step": "missing", "dropped": 1, "rows": 3, "samples": [{"row": 1, "values": {"text": ""}}]}
    ]
    assert [(step["step"], step["dropped"], step["samples"]) for step in report(hidden)["filters"]] == [
        ("missing", 1, []),
        ("personal_data", 1, []),
    ]
    assert b"kim@" not in b"".join(path.read_bytes() for path in (hidden / "prepared/dataset").rglob("*") if path.is_file())
