"""Overlap of training rows with test rows: what was planted is found, where it stands, and nothing else."""

import contextlib
import itertools
import json
import random
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from polar_tools import datasets
from polar_tools.cli import group
from polar_tools.options import REPEATABLE
from polar_tools.specs import OverlapSpec, freeze
from tests.tiny import run

Rows = list[dict[str, Any]]


def lay(folder: Path, train: Rows, test: Rows, **options: Any) -> Path:
    """Two prepared datasets of these rows, and the spec of their overlap in the folder that is returned."""
    for name, part, rows in (("ours", "train", train), ("theirs", "test", test)):
        data = folder / f"results/datasets/{name}/data"
        datasets.write_rows(rows, data, part)
        (data.parent / "manifest.json").write_text('{"record": "of this test"}')
    spec = {"ngram_size": 13, "unit": "auto", "common": 10, "fail": False, **options}
    made = folder / "results/datasets/ours/overlap/e"
    made.mkdir(parents=True, exist_ok=True)
    told = OverlapSpec(dataset="results/datasets/ours/data", test="results/datasets/theirs/data", **spec)
    (made / "spec.json").write_bytes(freeze(told))
    return made


def found(folder: Path, train: Rows, test: Rows, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]], list[int]]:
    """The report, the matches, and the training rows that overlap."""
    made = lay(folder, train, test, **options)
    with contextlib.chdir(folder):
        CliRunner(env={"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", **REPEATABLE}).invoke(
            group, ["overlap", "results/datasets/ours/overlap/e"], catch_exceptions=False
        )
    matches = [json.loads(line) for line in (made / "matches.jsonl").read_text(encoding="utf-8").splitlines()]
    return json.loads((made / "report.json").read_bytes()), matches, pq.read_table(made / "training_rows.parquet")["row"].to_pylist()


def command(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`polar-tools overlap` as a person types it."""
    return run("polar-tools", "overlap", "results/datasets/ours/overlap/e", cwd=folder, **environment)


def texts(*rows: str) -> Rows:
    return [{"text": row} for row in rows]


def words(chance: random.Random, count: int, korean: bool = False) -> list[str]:
    """Made-up words, of which no 13 ever come twice."""
    letters = "가나다라마바사아자차카타파하" if korean else "abcdefghijklmnopqrstuvwxyz"
    return ["".join(chance.choices(letters, k=chance.randint(3, 6))) for _ in range(count)]


def test_all_that_was_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(0)
    test = [words(chance, chance.randint(30, 60), korean=number % 2 == 1) for number in range(60)]
    train = [words(chance, chance.randint(20, 80), korean=number % 3 == 1) for number in range(1500)]
    planted: dict[tuple[int, int], list[str]] = {}
    for number, row in enumerate(chance.sample(range(len(train)), 200)):
        size, source = chance.choice([13, 14, 20, 30]), number % 40  # a third of the test rows stays clean
        begin, place = chance.randrange(len(test[source]) - size + 1), chance.randrange(len(train[row]))
        span = test[source][begin : begin + size]
        planted[source, row] = span
        dressed = [word.upper() + chance.choice([",", "!", " -", "。"]) for word in span]
        train[row][place:place] = dressed if number % 5 else dressed[:12]  # every fifth is one word too short
    wanted = {pair for number, pair in enumerate(planted) if number % 5}
    report, matches, rows = found(tmp_path, texts(*map(" ".join, train)), texts(*map(" ".join, test)))
    assert {(match["test_row"], match["training_row"]) for match in matches} == wanted
    assert rows == sorted({row for _, row in wanted})
    assert report["test"]["overlapping"] == len({source for source, _ in wanted})
    assert report["training"] == {"rows": 1500, "overlapping": len(rows)}
    for match in matches:
        span = planted[match["test_row"], match["training_row"]]
        assert match["spans"] == [" ".join(span)]
        assert match["ngrams"] == len(span) - 12
        assert match["share"] == pytest.approx(len(span) / len(test[match["test_row"]]), abs=1e-4)


def test_counts_are_those_of_a_plain_search(tmp_path: Path) -> None:
    """Texts of three words repeat themselves and each other in every way there is."""
    chance = random.Random(1)
    train, test = ([chance.choices("abc", (6, 2, 1), k=chance.randint(0, 25)) for _ in range(count)] for count in (300, 150))
    report, matches, rows = found(tmp_path, texts(*map(" ".join, train)), texts(*map(" ".join, test)), ngram_size=8, common=9)

    def grams(text: list[str], size: int) -> list[tuple[str, ...]]:
        return [tuple(text[place : place + size]) for place in range(len(text) - size + 1)]

    sizes = [min(len(text), 8) if len(text) >= 5 else 0 for text in test]
    looked_up = [(size, gram) for text, size in zip(test, sizes, strict=True) if size for gram in set(grams(text, size))]
    common = {gram for size, gram in looked_up if looked_up.count((size, gram)) > 9}
    pairs = {}
    for (number, text), (row, other) in itertools.product(enumerate(test), enumerate(train)):
        size = sizes[number]
        shared = set(grams(text, size)) & set(grams(other, size)) - common if size else set()
        places = [place for place, gram in enumerate(grams(text, size)) if gram in shared]
        if places:
            pairs[number, row] = (len(places), len({place + unit for place in places for unit in range(size)}) / len(text))
    assert common and {size for size in sizes if size} == {5, 6, 7, 8}
    assert report["matches"]["pairs"] == len(pairs)
    assert report["templates"] == len(common)
    assert report["test"]["too_short"] == sizes.count(0)
    assert report["test"]["overlapping"] == len({number for number, _ in pairs})
    assert rows == sorted({row for _, row in pairs})
    assert {(match["test_row"], match["training_row"]) for match in matches} <= set(pairs)
    for match in matches:
        count, share = pairs[match["test_row"], match["training_row"]]
        assert (match["ngrams"], match["share"]) == (count, round(share, 4))


SENTENCE = "the quick brown fox jumps over the lazy dog near the old river bank"


@pytest.mark.parametrize(
    ("train", "test", "overlaps"),
    [
        (SENTENCE, SENTENCE, True),
        (f"before {SENTENCE.upper()}. After", f"«{SENTENCE}»", True),
        (SENTENCE.replace("lazy", "tired"), SENTENCE, False),
        ("one, two: three four five!", "One two three four five", True),  # short, as a whole
        ("and one two three four five six", "One two three four five", True),
        ("one two three four six", "one two three four five", False),
        ("one two three four", "one two three four", False),  # shorter than anything tells
        ("그는 어제 저녁에 친구와 함께 극장에서 영화를 보았다", "그는 어제 저녁에 친구와 함께", True),
        ("그는 어제 저녁에 친구를 극장에서 만났다", "그는 어제 저녁에 친구와 함께", False),
        ("我们昨天晚上在电影院看了一部很好的电影", "昨天晚上在电影院看了一部很好", True),  # 14 characters, no space
        ("我们昨天早上在电影院看了一部很好的电影", "昨天晚上在电影院看了一部很好", False),
        ("ﬁne Ｆｕｌｌ width ①  ok", "fine full WIDTH 1 ok", True),  # the same to NFKC
        ("", SENTENCE, False),
        (SENTENCE, "", False),
    ],
)
def test_what_overlaps(train: str, test: str, overlaps: bool, tmp_path: Path) -> None:
    report, matches, rows = found(tmp_path, texts("something else", train), texts("nothing of it all is here", test))
    assert (rows, report["test"]["overlapping"]) == (([1], 1) if overlaps else ([], 0))
    assert [match["test_row"] for match in matches] == [1] * overlaps


def test_units_may_be_chosen(tmp_path: Path) -> None:
    train, test = texts("그는 어제 저녁에 친구와함께"), texts("그 는 어제 저녁에 친구와 함께")
    assert found(tmp_path, train, test)[2] == []
    assert found(tmp_path, train, test, unit="char")[2] == [0]
    chinese = texts("我们昨天晚上在电影院看了一部很好的电影"), texts("昨天晚上在电影院看了一部很好")
    assert found(tmp_path / "b", *chinese, unit="word")[2] == []


def test_spans_are_what_stands_in_the_text(tmp_path: Path) -> None:
    shared = "‘Ｔｈｅ’ quick (brown) fox — ju\u0308mps over the 게으른 개 near the o\u0301ld 강둑"
    plain = "the quick brown fox jümps over the 게으른 개 near the óld 강둑"
    test = f"Tell me, please: {shared}!! And then? {' '.join('xyz' for _ in range(30))}"
    _, (match,), _ = found(tmp_path, texts(f"x {plain} y"), texts(test))
    assert match["spans"] == [shared[1:]]  # from the first unit to the last
    assert match["ngrams"] == 1


def test_messages_and_several_columns_are_one_text_and_labels_none(tmp_path: Path) -> None:
    first, second = "one two three four five six seven", "eight nine ten eleven twelve thirteen fourteen"
    talk = [{"messages": [{"role": "user", "content": first}, {"role": "assistant", "content": second}]}]
    assert found(tmp_path / "a", [{"prompt": first, "completion": second}], talk)[2] == [0]
    assert found(tmp_path / "b", talk, texts(f"{first} {second}"))[2] == [0]
    labels = [{"text": "a text", "label": "one two three four five"}]
    assert found(tmp_path / "c", labels, labels)[2] == []


def test_templates_do_not_count_and_are_told(tmp_path: Path) -> None:
    chance = random.Random(2)
    task = "Answer the question below with one of the words yes or no and nothing else please:"
    test = [f"{task} {' '.join(words(chance, 20))}" for _ in range(11)] + [task]
    train = [f"{task} {' '.join(words(chance, 20))}" for _ in range(50)] + [test[3]]
    report, _, rows = found(tmp_path, texts(*train), texts(*test))
    assert rows == [50]
    assert report["test"]["overlapping"] == 1 and report["test"]["only_templates"] == 1
    assert report["templates"] == len(task.split()) - 12
    assert found(tmp_path, texts(*train), texts(*test), common=12)[2] == list(range(51))


def test_a_row_that_repeats_itself_without_end_takes_no_time(tmp_path: Path) -> None:
    endless = texts("ha " * 5_000)
    report, matches, _ = found(tmp_path, endless * 20, endless)
    assert report["training"]["overlapping"] == 20 and report["test"]["whole"] == 1
    assert [match["spans"] for match in matches] == [[f"{'ha ' * 166}ha … {'ha ' * 166}ha"]] * 20


class Marked(HTMLParser):
    """The marked texts of a page, and all tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.marks: list[str] = []
        self.tags: set[str] = set()
        self._in = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._in = tag == "mark"

    def handle_endtag(self, tag: str) -> None:
        self._in = False

    def handle_data(self, data: str) -> None:
        if self._in:
            self.marks.append(data)


def test_the_page_shows_the_span_on_both_sides_and_runs_nothing(tmp_path: Path) -> None:
    evil = f"<script>alert(1)</script> {SENTENCE}"
    found(tmp_path, texts("far away " * 500 + evil), texts(f"{evil} of course", "something that is in no training row"))
    page = (tmp_path / "results/datasets/ours/overlap/e/report.html").read_text(encoding="utf-8")
    seen = Marked(page)
    assert seen.marks == [evil[1:]] * 2
    assert "script" not in seen.tags and not re.search(r"https?:|src=", page)
    assert len(page) < 30_000
    assert "1 of 2 test rows overlap" in page and "test row 0, 90 % of it" in page


def test_the_list_is_bounded_and_has_every_test_row_first(tmp_path: Path) -> None:
    chance = random.Random(3)
    test = [" ".join(words(chance, 20)) for _ in range(30)]
    train = [f"{row} copy {number}" for number in range(40) for row in test]
    report, matches, rows = found(tmp_path, texts(*train), texts(*test))
    assert report["matches"] == {"pairs": 1200, "listed": 500} and len(matches) == 500
    assert len(rows) == 1200
    assert {match["test_row"] for match in matches} == set(range(30))
    assert matches == sorted(matches, key=lambda match: (match["test_row"], -match["share"], match["training_row"]))
    assert [match["training_row"] for match in matches if match["test_row"] == 7] == list(range(7, 7 + 17 * 30, 30))


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    chance = random.Random(4)
    test = [" ".join(words(chance, 20)) for _ in range(5)]
    made = []
    for name in ("one", "other"):
        folder = lay(tmp_path / name, texts(*(f"{row} {number}" for row in test for number in range(3))), texts(*test))
        assert command(tmp_path / name, PYTHONHASHSEED=str(len(name))).returncode == 0
        made.append([(folder / file).read_bytes() for file in ("record.json", "report.html", "matches.jsonl", "training_rows.parquet")])
    assert made[0] == made[1]


def test_fail_names_the_rows_and_leaves_the_page(tmp_path: Path) -> None:
    made = lay(tmp_path, texts("not this one", SENTENCE), texts(SENTENCE), fail=True)
    done = command(tmp_path)
    assert done.returncode == 2
    assert f"training row 1, test row 0: {SENTENCE}\n" in done.stderr
    assert "results/datasets/ours/overlap/e/report.html" in done.stderr and "policy: drop" in done.stderr
    assert (made / "report.html").is_file() and not (made / "manifest.json").exists() and not (made / "record.json").exists()
    lay(tmp_path, texts("not this one"), texts(SENTENCE), fail=True)
    assert command(tmp_path).returncode == 0
