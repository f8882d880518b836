"""Filters on small tables, as a config would call them."""

from typing import Any

import pyarrow as pa
import pytest

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.filters import base


def apply(name: str, table: dict[str, list[Any]], **options: Any) -> dict[str, list[Any]]:
    module = discovery.load("filters", name)
    whole = pa.table({**table, base.ROW: list(range(len(next(iter(table.values())))))})
    chunks = (whole.slice(start, 2) for start in range(0, whole.num_rows, 2))  # what a filter remembers must outlast a table
    found = pa.concat_tables(module.apply(chunks, module.Options(**options)))
    assert found[base.ROW].to_pylist() == sorted(found[base.ROW].to_pylist()), "the order is the old one"
    result: dict[str, list[Any]] = found.drop_columns([base.ROW]).to_pydict()
    return result


ROWS = {"text": ["하나", "", "둘", None, "  ", "둘"], "label": ["a", "b", "a", "a", "b", "a"], "n": [1, 2, 3, 4, 5, None]}


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("missing", {"columns": ["text"]}, [0, 2, 5]),
        ("missing", {}, [0, 2]),
        ("values", {"column": "label", "keep": ["b"]}, [1, 4]),
        ("values", {"column": "label", "drop": ["b"]}, [0, 2, 3, 5]),
        ("values", {"column": "n", "keep": ["3", "4"]}, [2, 3]),
        ("duplicates", {"columns": ["label"]}, [0, 1]),
        ("duplicates", {"columns": ["text", "label"]}, [0, 1, 2, 3, 4]),
        ("sample", {"rows": 99}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_filter_keeps_exactly_these_rows(name: str, options: dict[str, Any], kept: list[int]) -> None:
    found = apply(name, {**ROWS, "row": list(range(6))}, **options)
    assert found["row"] == (kept if name != "missing" or options else [row for row in kept if ROWS["n"][row] is not None])


def test_first_words_cuts_and_joins_by_single_spaces() -> None:
    assert apply("first_words", {"text": ["세 개의\n 단어 만", "one", None]}, column="text", words=3)["text"] == [
        "세 개의 단어",
        "one",
        None,
    ]


def test_sample_is_seeded_and_keeps_the_order() -> None:
    rows = {"row": list(range(100))}
    first, again, other = (apply("sample", rows, rows=10, seed=seed)["row"] for seed in (0, 0, 1))
    assert first == again == sorted(first)
    assert len(first) == 10
    assert first != other


@pytest.mark.parametrize(
    ("name", "options"),
    [("missing", {"columns": ["txt"]}), ("first_words", {"column": "txt", "words": 1}), ("duplicates", {"columns": ["txt"]})],
)
def test_missing_column_lists_those_that_are_there(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no column `txt`, did you mean `text`.*`text`, `label`, `n`"):
        apply(name, ROWS, **options)
