"""Figures of rows: exact, whatever the pieces in which the rows come."""

import itertools
import json
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from polar_tools import measures

TURNS = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "네"}]
ROWS = [
    {"messages": TURNS, "label": "좋음", "score": 1, "image": b"\x00"},
    {"messages": TURNS, "label": "좋음", "score": 1, "image": b"\x00"},
    {"messages": [{"role": "user", "content": "안녕네"}], "label": "나쁨", "score": 2, "image": b""},
    {"messages": [{"role": "user", "content": "안녕"}], "label": None, "score": 2, "image": None},
    {"messages": None, "label": "나쁨", "score": 2, "image": b""},
    {"messages": [], "label": "나쁨", "score": 2, "image": b""},
]


def lengths(numbers: list[int], piece: int) -> measures.Lengths:
    found = measures.Lengths()
    for start in range(0, len(numbers), piece):
        found.add(np.array(numbers[start : start + piece]))
    return found


@pytest.mark.parametrize("spread", [0.2, 1.5])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_lengths_are_exact_however_they_come(spread: float, piece: int) -> None:
    chance = random.Random(0)
    numbers = [int(chance.lognormvariate(5, spread)) for _ in range(500)]
    found, inorder = lengths(numbers, piece), sorted(numbers)
    figures = found.as_dict()
    assert {name: figures[name] for name in measures.QUANTILES} == {
        name: inorder[int(share * 499)] for name, share in measures.QUANTILES.items()
    }
    assert (found.rows, found.total, figures["mean"]) == (500, sum(numbers), round(sum(numbers) / 500, 2))
    assert found.above(200) == sum(number > 200 for number in numbers)
    edges, counts = figures["histogram"]["edges"], figures["histogram"]["counts"]
    assert counts == [sum(low <= number < high for number in numbers) for low, high in itertools.pairwise(edges)]
    assert sum(counts) == 500 and len(counts) <= measures.BARS + 1


def test_a_single_far_row_does_not_press_all_others_into_one_bar() -> None:
    histogram = lengths([*range(100, 200), 90_000], 1000).histogram()
    assert sum(count > 0 for count in histogram["counts"]) > 15
    assert histogram["counts"][-1] == 1 and histogram["edges"][-1] == 90_001


@pytest.mark.parametrize("piece", [1, 2, 6])
def test_tables_are_measured_column_by_column(piece: int) -> None:
    table = pa.Table.from_pylist([{**row, "__row__": number} for number, row in enumerate(ROWS)])
    found = measures.Texts()
    for start in range(0, len(ROWS), piece):
        found.add(table.slice(start, piece))
    figures = found.as_dict()
    assert (figures["rows"], figures["duplicates"]) == (6, 1)
    assert figures["labels"] == {"label": {"나쁨": 3, "좋음": 2}, "score": {"2": 4, "1": 2}}
    assert list(figures["texts"]) == ["messages"]
    characters = figures["texts"]["messages"]
    assert (characters["missing"], characters["min"], characters["max"]) == (1, 0, 4)  # two turns stand on two lines
    assert json.loads(json.dumps(figures)) == figures


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", "", None, "a"], pa.string()),
        (["a", "b", "", None, "a"], pa.dictionary(pa.int32(), pa.string())),
        ([b"a", b"\xff", b"", None, b"a"], pa.binary()),
        ([1, 2, 0, None, 1], pa.int64()),
        ([1.5, 2.5, float("inf"), None, 1.5], pa.float64()),
        ([["a"], ["b"], [], None, ["a"]], pa.list_(pa.string())),
        ([{"x": 1, "y": ["a"]}, {"x": 1, "y": ["b"]}, {"x": None, "y": []}, None, {"x": 1, "y": ["a"]}], None),
        ([["ab", "c"], ["a", "bc"], ["abc"], None, ["ab", "c"]], pa.list_(pa.string())),
    ],
)
def test_equal_values_have_equal_hashes_and_others_do_not(values: list[Any], kind: pa.DataType | None) -> None:
    array = pa.array(values, kind)
    hashes = measures.row_hashes(array).tolist()
    assert hashes[0] == hashes[4] and len(set(hashes)) == 4
    assert measures.row_hashes(array.slice(1, 3)).tolist() == hashes[1:4]


def test_languages_are_told_apart() -> None:
    texts = ["오늘은 날씨가 아주 좋아서 산책을 나갔습니다.", "The weather was lovely today, so we went out for a walk."] * 2
    assert measures.languages(texts) == {"en": 2, "ko": 2}


def test_a_limit_stands_where_the_rows_beyond_it_begin() -> None:
    from jinja2 import Environment, PackageLoader

    template = '{% import "measures.html.jinja" as measures %}{{ measures.histogram(of, "tokens", limit) }}'
    draw = Environment(loader=PackageLoader("polar_tools", "stages"), autoescape=True).from_string(template).render
    histogram = lengths(list(range(0, 20)), 20).histogram()
    assert "left: 50.0%" in draw(of=histogram, limit=9)
    assert "beyond: max_length 100" in draw(of=histogram, limit=100)
    assert "max_length" not in draw(of=histogram, limit=None)
