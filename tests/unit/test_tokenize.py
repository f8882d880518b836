"""`polar-tools tokenize`: rows as tokens, what it says of them, and what it doesn't make twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from polar_tools import tokens
from tests import prepared
from tests.prepared import SHORT, report, tokenize, write

IGNORED = -100
LONG = {"prompt": "짧게?", "completion": "아주 긴 답 " * 40}
TALK = {"prompt": "아주 긴 질문 " * 40, "completion": "네"}


@pytest.fixture
def folder(assets: Path, tmp_path: Path) -> Path:
    prepared.take_model(tmp_path, assets)
    return tmp_path


def made(folder: Path) -> dict[str, bytes]:
    """All that tokenize wrote but for its spec and what differs from run to run."""
    target = folder / "results/x/tokenize"
    files = [
        path for path in sorted(target.rglob("*")) if path.is_file() and path.name not in ("spec.json", "manifest.json", ".manifest.json")
    ]
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in files}


def test_figures_are_those_of_the_rows_on_the_disk(folder: Path) -> None:
    write(folder, [SHORT[:25], [*SHORT[25:], SHORT[0]]], test=SHORT[:2])
    done = tokenize(folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows, found = prepared.tokens(folder), report(folder)
    lengths = sorted(len(row["input_ids"]) for row in rows)
    trained = [sum(label != IGNORED for label in row["labels"]) for row in rows]
    assert (found["rows"], found["kept"], found["cut"], found["dropped"]) == (41, 41, 0, 0)
    assert (found["tokens"], found["trained_tokens"], found["duplicates"]) == (sum(lengths), sum(trained), 1)
    assert (found["length"]["min"], found["length"]["median"], found["length"]["max"]) == (lengths[0], lengths[20], lengths[-1])
    assert (found["trained_length"]["min"], found["trained_length"]["max"]) == (min(trained), max(trained))
    assert sum(found["length"]["histogram"]["counts"]) == 41
    assert found["would_cut"][-1] == {"max_length": 128, "rows": 0, "share": 0.0}
    assert found["recommended"]["max_length"]["value"] % 64 == 0
    assert found["recommended"]["preset"]["name"] == "small-dataset"
    facts = json.loads((folder / "results/x/tokenize/record.json").read_bytes())["facts"]
    assert facts["length"]["p95"] == lengths[int(0.95 * 40)] and "histogram" not in facts["length"]
    schema = pq.read_schema(folder / "results/x/tokenize/tokens/train-00000.parquet")
    assert schema.field("input_ids").type == schema.field("labels").type == pa.list_(pa.int32())
    tokenizer = AutoTokenizer.from_pretrained(folder / "results/x/tokenize/tokenizer")
    assert "질문 0?" in tokenizer.decode(rows[0]["input_ids"])


@pytest.mark.parametrize(
    "how", ["cut_right", pytest.param("cut_left", marks=pytest.mark.slow), pytest.param("drop", marks=pytest.mark.slow)]
)
def test_what_max_length_takes_is_counted_and_shown(how: str, folder: Path) -> None:
    write(folder, [[*SHORT, LONG, TALK]], test=SHORT[:2])
    assert tokenize(folder).returncode == 0
    whole = prepared.tokens(folder)
    limit = 100
    done = tokenize(folder, max_length=limit, on_too_long=how)
    if how == "cut_right":  # the long question loses its whole answer: an error, and not a measure
        assert done.returncode == 2 and "training row 42 (counted from 1, of results/datasets/d/data/train-00000.parquet)" in done.stderr
        assert "no token of it would be trained on" in done.stderr
        return
    long = [row for row in whole if len(row["input_ids"]) > limit]
    assert len(long) == 2
    lost = [len(row["input_ids"]) - limit for row in long]
    found, kept = report(folder), prepared.tokens(folder)
    assert done.returncode == 0, done.stderr
    counts = (found["rows"], found["kept"], found["cut"], found["dropped"])
    assert counts == ((42, 42, 2, 0) if how == "cut_left" else (42, 40, 0, 2))
    assert len(kept) == found["kept"]
    assert "warning: max_length 100 " in done.stderr and "2 of 42 rows (4.76%)" in done.stderr
    page = (folder / "results/x/tokenize/report.html").read_text(encoding="utf-8")
    assert "max_length 100</em>" in page
    if how == "cut_left":
        assert found["cuts"]["tokens_lost"] == sum(lost)
        assert found["cuts"]["answers_cut"] == 1
        assert [sample["row"] for sample in found["cuts"]["samples"]] == [40, 41]
        assert "아주 긴 질문" in found["cuts"]["samples"][1]["text"]
        assert "1 of 42 rows (2.38%) lose tokens that are trained on" in done.stderr


@pytest.mark.parametrize(
    ("rows", "fields", "says"),
    [
        ([*SHORT, LONG], {"max_length": 100}, "training row 41 (counted from 1, of results/datasets/d/data/train-00001.parquet)"),
        ([{"prompt": "a", "completion": None}], {}, "training row 1 (counted from 1, of results/datasets/d/data/train-00001.parquet)"),
        ([*SHORT, {"prompt": "a<|im_end|>", "completion": "b"}], {}, "training row 41 (counted from 1"),
        ([{"text": "a"}], {}, "needs `messages` or `prompt` + `completion`"),
        ([LONG], {"max_length": 100, "on_too_long": "drop"}, "all 2 training rows have more than max_length 100 tokens and were dropped"),
    ],
)
def test_a_bad_row_is_named(rows: list[dict[str, Any]], fields: dict[str, Any], says: str, folder: Path) -> None:
    first = [LONG] if fields.get("on_too_long") else SHORT[:3]
    if "text" in rows[0]:
        write(folder, [[{"question": "?"}]])
    else:
        write(folder, [first, rows])
    done = tokenize(folder, **fields)
    assert done.returncode == 2
    assert says in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "results/x/tokenize/manifest.json").exists()


def test_a_late_row_of_a_long_shard_is_named(folder: Path) -> None:
    write(folder, [[*(SHORT * 60), LONG]])
    done = tokenize(folder, max_length=100)
    assert "training row 2401 (counted from 1, of " in done.stderr


@pytest.mark.slow
def test_the_same_bytes_whatever_the_number_of_workers(folder: Path) -> None:
    write(folder, [SHORT * 60, SHORT * 30])
    assert tokenize(folder, {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}).returncode == 0
    alone = made(folder)
    for name in ("record.json", "manifest.json", "tokens/train-00000.parquet", "tokens/train-00001.parquet"):
        (folder / "results/x/tokenize" / name).unlink()
    done = tokenize(folder, {"RAYON_NUM_THREADS": "4", "TOKENIZERS_PARALLELISM": "true"})
    assert done.returncode == 0 and "taken over" not in done.stdout
    assert made(folder) == alone


@pytest.mark.parametrize("size", [1, 300, 11_000, 25_000])
def test_the_same_bytes_however_rows_are_batched(size: int, tmp_path: Path) -> None:
    chance = random.Random(0)
    rows = [{"input_ids": list(range(n := chance.randrange(1, 9))), "labels": [IGNORED] * n} for _ in range(25_000)]
    kept = [None if number % 7 == 3 else row for number, row in enumerate(rows)]
    files = []
    for piece in (size, 1000):
        shard = tokens.Shard.of(tmp_path / str(piece), "train-00000")
        chunks = (tokens.tables(rows[start : start + piece], kept[start : start + piece]) for start in range(0, len(rows), piece))
        tokens.write(chunks, shard, "x")
        files.append((shard.tokens.read_bytes(), shard.measures.read_bytes()))
    assert files[0] == files[1]
    assert pq.read_table(shard.tokens).to_pylist() == [row for row in kept if row is not None]


def test_shards_that_have_not_changed_are_not_made_again(folder: Path, assets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shards = [SHORT[:10], SHORT[10:20], SHORT[20:30]]
    write(folder, shards[:2], test=SHORT[30:])
    assert tokenize(folder).returncode == 0
    target = folder / "results/x/tokenize"
    before = (target / "tokens/train-00000.parquet").stat().st_ino
    write(folder, shards, test=SHORT[30:])
    grown = tokenize(folder)
    assert grown.returncode == 0, grown.stderr
    assert "2 of 3 shards taken over from an earlier run" in grown.stdout
    assert (target / "tokens/train-00000.parquet").stat().st_ino == before
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    prepared.take_model(elsewhere, assets)
    write(elsewhere, shards, test=SHORT[30:])
    fresh = tokenize(elsewhere)
    assert "taken over" not in fresh.stdout
    assert made(folder) == made(elsewhere)
    write(folder, [shards[2], shards[0]], test=SHORT[30:])
    assert "2 of 2 shards taken over" in tokenize(folder).stdout  # whatever their numbers
    assert [path.name for path in sorted((target / "tokens").iterdir())] == ["train-00000.parquet", "train-00001.parquet"]
    assert len(prepared.tokens(folder)) == 20


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"system_prompt": "짧게"}, marks=pytest.mark.slow),
        pytest.param({"max_length": 500, "on_too_long": "drop"}, marks=pytest.mark.slow),
        pytest.param("tokenizer", marks=pytest.mark.slow),
        "damaged",
    ],
)
def test_shards_that_would_become_others_are_made_again(change: Any, folder: Path) -> None:
    write(folder, [SHORT[:10], SHORT[10:]])
    assert tokenize(folder).returncode == 0
    target = folder / "results/x/tokenize"
    if change == "tokenizer":
        settings = folder / "resources/models/m/snapshot/tokenizer_config.json"
        settings.write_text(settings.read_text().replace('"<pad>"', '"<|im_end|>"'))
        (folder / "resources/models/m/manifest.json").write_text(json.dumps({"record": "another"}))
    elif change == "damaged":
        first = made(folder)
        shard = target / "tokens/train-00000.parquet"
        shard.write_bytes(shard.read_bytes()[:-1])
    done = tokenize(folder, **(change if isinstance(change, dict) else {}))
    assert done.returncode == 0, done.stderr
    if change == "damaged":
        assert "1 of 2 shards taken over" in done.stdout
        assert made(folder) == first
    else:
        assert "taken over" not in done.stdout


def test_a_killed_run_goes_on_behind_its_last_shard(folder: Path) -> None:
    many = [{"prompt": f"질문 {number}? " * 5, "completion": f"답은 {number}"} for number in range(24_000)]
    write(folder, [many[start : start + 4000] for start in range(0, len(many), 4000)])
    target = folder / "results/x/tokenize"
    target.mkdir(parents=True)
    (target / "spec.json").write_text(json.dumps({"stage": "tokenize", "experiment": prepared.experiment()}))
    command = [str(Path(sys.executable).parent / "polar-tools"), "tokenize", "results/x/tokenize"]
    job = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not (target / "origins/train-00001.json").is_file():
        assert job.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not (target / "manifest.json").exists()
    done = tokenize(folder)
    assert done.returncode == 0, done.stderr
    taken = int(done.stdout.split(" of 6 shards taken over")[0].splitlines()[-1])
    assert 2 <= taken < 6
    resumed = made(folder)
    assert not [name for name in resumed if "unfinished" in name]
    for path in (*(target / "tokens").iterdir(), target / "record.json", target / "manifest.json"):
        path.unlink()
    undisturbed = tokenize(folder)
    assert "taken over" not in undisturbed.stdout
    assert made(folder) == resumed


class Page(HTMLParser):
    """The rows of the X-ray: of each the classes and the text of its pieces."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []
        self.marks: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        if tag == "div" and known.get("class") == "xray":
            self.rows.append([])
        if tag not in ("br", "meta", "link"):
            self._inside.append(tag)
        if tag == "span" and known.get("title"):
            self.rows[-1].append((str(known["class"]), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside.pop()

    def handle_data(self, data: str) -> None:
        if "span" in self._inside and self.rows and self.rows[-1] and "p" not in self._inside:
            if self._inside[-1] == "sup":
                self.marks.append(data)
                return
            state, text = self.rows[-1].pop()
            shown = {"·": " ", "↵": "\n"}.get(data, data) if self._inside[-1] == "i" else data
            self.rows[-1].append((state, text + shown))


def test_the_xray_shows_every_token_as_what_it_is(folder: Path) -> None:
    row = {"prompt": "하늘은  왜\n파래? <b>", "completion": "빛이 흩어져서요 🌊"}
    write(folder, [[row, *SHORT]], test=SHORT[:1])
    assert tokenize(folder).returncode == 0
    text = (folder / "results/x/tokenize/report.html").read_text(encoding="utf-8")
    assert "http:" not in text and "https:" not in text and "<script" not in text
    page, first = Page(text), prepared.tokens(folder)[0]
    tokenizer = AutoTokenizer.from_pretrained(folder / "results/x/tokenize/tokenizer")
    assert "".join(piece for _, piece in page.rows[0]) == tokenizer.decode(first["input_ids"])
    trained = "".join(piece for state, piece in page.rows[0] if state.startswith("trained"))
    assert trained == tokenizer.decode([label for label in first["labels"] if label != IGNORED])
    assert {piece for state, piece in page.rows[0] if "special" in state} == {"<|im_start|>", "<|im_end|>"}
    assert ("read", "하") in page.rows[0] and "3" in page.marks  # a syllable of three bytes, which this vocabulary doesn't know


@pytest.mark.slow
def test_long_rows_are_shortened_in_the_middle_and_cut_ones_show_what_is_gone(folder: Path) -> None:
    row = {"prompt": "앞" + " 질문" * 900, "completion": "답" + " 대답" * 900 + " 끝"}
    write(folder, [[*SHORT, row]])
    assert tokenize(folder).returncode == 0
    size = len(prepared.tokens(folder)[-1]["input_ids"])
    done = tokenize(folder, max_length=size - 30, on_too_long="cut_right")
    assert done.returncode == 0, done.stderr
    text = (folder / "results/x/tokenize/report.html").read_text(encoding="utf-8")
    assert "tokens are left out here" in text and "30 cut off" in text
    longest = next(pieces for pieces in Page(text).rows if len(pieces) > 100)
    assert {state.split()[0] for state, _ in longest} == {"read", "trained", "cut"}
    assert "".join(piece for state, piece in longest if state.startswith("cut")).endswith("<|im_end|>\n")


def test_labels_are_counted_and_a_lopsided_one_is_told(folder: Path) -> None:
    rows = [{"text": f"글 {number}", "label": "나쁨" if number < 2 else "좋음"} for number in range(40)]
    write(folder, [rows[:20], rows[20:]], test=rows[:1])
    done = tokenize(folder, method="classification")
    assert done.returncode == 0, done.stderr
    assert report(folder)["labels"] == {"좋음": 38, "나쁨": 2}
    assert "warning: the label `좋음` is that of 38 of 40 rows (95.00%)" in done.stderr
    page = (folder / "results/x/tokenize/report.html").read_text(encoding="utf-8")
    assert "label <code>나쁨</code>" in page and "trained on" not in page.partition("</style>")[2]


@pytest.mark.parametrize(
    ("rows", "test", "says"),
    [
        (SHORT, [], "no rows are held out"),
        ([*SHORT, LONG], SHORT[:1], "1 of 41 rows (2.44%) are longer than the 64 positions that the model knows"),
        ([*SHORT, {"prompt": "a", "completion": ""}], SHORT[:1], "1 of 41 rows (2.44%) are trained on a single token"),
    ],
)
def test_what_may_not_be_meant_is_told(rows: list[dict[str, Any]], test: list[dict[str, Any]], says: str, folder: Path) -> None:
    if "positions" in says:
        settings = folder / "resources/models/m/snapshot/config.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "max_position_embeddings": 64}))
    write(folder, [rows], test)
    done = tokenize(folder)
    assert done.returncode == 0, done.stderr
    assert f"warning: {says}" in done.stderr
    assert [warning for warning in report(folder)["warnings"] if says in warning]
    page = (folder / "results/x/tokenize/report.html").read_text(encoding="utf-8")
    assert says in page
    if "positions" in says:
        assert report(folder)["recommended"]["max_length"]["value"] == 64


@pytest.mark.slow
def test_languages_are_measured_where_py3langid_is_there(folder: Path) -> None:
    korean = [{"prompt": "오늘 날씨는 어떤가요?", "completion": f"아주 맑고 바람이 시원합니다. {number}"} for number in range(30)]
    write(folder, [korean])
    assert tokenize(folder).returncode == 0
    assert max(report(folder)["languages"].items(), key=lambda found: found[1]) == ("ko", 30)
    (folder / "without").mkdir()
    (folder / "without/sitecustomize.py").write_text("import sys\nsys.modules['py3langid'] = None\n")
    path = os.pathsep.join([str(folder / "without"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = tokenize(folder, {"PYTHONPATH": path}, system_prompt="짧게")
    assert done.returncode == 0, done.stderr
    assert report(folder)["languages"] is None
    assert "py3langid isn't installed" in (folder / "results/x/tokenize/report.html").read_text(encoding="utf-8")


def test_the_saved_tokenizer_has_the_length_and_side_that_were_asked_for(folder: Path) -> None:
    write(folder, [SHORT], test=SHORT[:2])
    done = tokenize(folder, tokenizer_max_len=77, padding_side="left")
    assert done.returncode == 0, done.stderr
    tokenizer = AutoTokenizer.from_pretrained(folder / "results/x/tokenize/tokenizer")
    assert (tokenizer.model_max_length, tokenizer.padding_side) == (77, "left")
    assert report(folder)["cut"] == 0


def test_of_several_sequences_the_longest_is_measured_and_all_are_counted() -> None:
    rows = [
        {"chosen_input_ids": [1, 2, 3], "chosen_labels": [IGNORED, 2, 3], "rejected_input_ids": [1, 9], "rejected_labels": [IGNORED, 9]},
        {
            "chosen_input_ids": [1, 2],
            "chosen_labels": [IGNORED, 2],
            "rejected_input_ids": [1, 8, 8, 8],
            "rejected_labels": [IGNORED, 8, 8, 8],
        },
    ]
    made, measured = tokens.tables(rows, rows)
    assert made.to_pylist() == rows
    named = {name: measured[name].to_pylist() for name in tokens.MEASURED}
    assert named == {"tokens": [3, 4], "trained": [3, 4], "kept_tokens": [3, 4], "kept_trained": [3, 4], "kept_in_all": [5, 6]}
    figures = tokens.Figures()
    figures.add(measured)
    assert (figures.counts["tokens"], figures.counts["trained_tokens"], figures.lengths.quantile(1.0), figures.duplicates) == (11, 7, 4, 0)
