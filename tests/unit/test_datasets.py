"""Shards on the disk: the same bytes for the same rows, and never much of them in memory."""

import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polar_tools import datasets


def cut(table: pa.Table, chance: random.Random) -> Iterator[pa.Table]:
    """`table` in pieces, each with gaps in memory, as filters leave them."""
    start = 0
    while start < table.num_rows:
        step = chance.randint(1, 700)
        yield table.slice(start, step)
        start += step


def test_the_same_rows_give_the_same_bytes_however_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "SHARD", 2_000)
    monkeypatch.setattr(datasets, "GROUP", (500, 100_000))
    chance = random.Random(0)
    texts = [None if chance.random() < 0.1 else "word " * chance.choice([1, 10, 200]) for _ in range(5_000)]
    lists = [None if chance.random() < 0.1 else texts[: chance.randint(0, 2)] for _ in texts]
    table = pa.table({"text": texts, "list": pa.array(lists, pa.list_(pa.string())), "n": range(5_000)})
    made = set()
    for trial in range(5):
        datasets.write_shards([table] if trial == 0 else cut(table, chance), tmp_path / str(trial), "train")
        files = datasets.shards(tmp_path / str(trial), "train")
        made.add(tuple(file.read_bytes() for file in files))
        assert pa.concat_tables(map(pq.read_table, files)).equals(table)
        groups = [file.row_group(number).num_rows for file in map(pq.read_metadata, files) for number in range(file.num_row_groups)]
        assert max(groups) <= 500 and min(groups[:-1]) < 500  # long rows end a group early
    assert len(made) == 1
    assert 2 <= len(next(iter(made))) <= 3
