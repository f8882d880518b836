"""`polar-tools prepare` beside the same steps in plain `datasets`, on the same rows in one run: `make bench`. Prints ratios; never a test.

Rows of about a kilobyte, a quarter of the words Korean, some with quotes and line breaks; one in fifty lacks its text, one in twenty
repeats an earlier row. Both read the file, drop what is missing or repeated, hold out a tenth with a seed and write Parquet, each in a
process of its own with a cache that is empty, and by turns. The rows that each keeps are compared afterwards.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.watched import Cost, watched

POLAR = str(Path(sys.executable).parent / "polar-tools")
REPOSITORY = Path(__file__).parent.parent
FORMATS = ("jsonl", "csv", "parquet")
WORDS, WIDTH = 150, 7
"""Words of a row, and bytes of each with the space behind it: about 200 tokens."""
CHUNK = 10_000
FILTERS = "filters=[missing, {name: duplicates, columns: [text]}]"
QUIET = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

THEIRS = """
import hashlib, sys
from datasets import load_dataset
format, source, target = sys.argv[1:]
rows = load_dataset("json" if format == "jsonl" else format, data_files=source, split="train")
def present(batch):
    return [all(value is not None and str(value).strip() for value in row) for row in zip(*batch.values())]
seen = set()
def is_new(text):
    key = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return key not in seen and not seen.add(key)
rows = rows.filter(present, batched=True)
rows = rows.filter(lambda batch: [is_new(text) for text in batch["text"]], batched=True)
for name, part in rows.train_test_split(test_size=0.1, seed=0).items():
    part.to_parquet(f"{target}/{name}-00000.parquet")
"""


def tables(rows: int) -> Iterator[Any]:
    """The rows, in tables of CHUNK."""
    import numpy as np
    import pyarrow as pa

    chance = np.random.default_rng(0)
    words = _vocabulary()
    kept = np.empty((0, WORDS * WIDTH), np.uint8)
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        letters = words[(chance.random((count, WORDS)) ** 2 * len(words)).astype(int)]
        letters[::3, 70, -1] = ord("\n")
        letters[::3, 40, -1] = letters[::3, 50, -1] = ord('"')
        texts = letters.reshape(count, -1)
        kept = texts if not start else kept
        again = np.flatnonzero(chance.random(count) < 0.05)
        texts[again] = kept[chance.integers(0, len(kept), len(again))]
        missing = chance.random(count) < 0.02
        column = [None if gone else bytes(text[:-1]).decode() for text, gone in zip(texts, missing, strict=True)]
        yield pa.table({"id": range(start, start + count), "text": pa.array(column, pa.string())})


def _vocabulary() -> Any:
    """Words of six bytes and a space: of six letters, every fourth of two Korean ones."""
    import numpy as np

    chance = np.random.default_rng(1)
    korean = [chr(0xAC00 + a) + chr(0xAC00 + b) for a, b in chance.integers(0, 11_172, (5_000, 2))]
    latin = ["".join(map(chr, letters)) for letters in chance.integers(ord("a"), ord("z") + 1, (15_000, 6))]
    words = chance.permutation(np.array([f"{word} ".encode() for word in [*korean, *latin]], f"S{WIDTH}"))
    return words.view(np.uint8).reshape(-1, WIDTH)


def make(path: Path, rows: int) -> Path:
    """A file of so many rows, in the format of its ending."""
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, next(tables(1)).schema) as writer:
            for table in tables(rows):
                writer.write_table(table)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            lines = csv.DictWriter(file, ["id", "text"])
            lines.writeheader()
            for table in tables(rows):
                lines.writerows(table.to_pylist())
        else:
            for table in tables(rows):
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
    return path


def take(command: list[str], place: Path, target: Path) -> tuple[Cost, dict[str, int], set[int]]:
    """What a command took, the rows of each part that it wrote below `target`, and the numbers of all of them."""
    import pyarrow.parquet as pq

    place.mkdir()
    target.mkdir(parents=True)
    os.sync()  # lest it waits for what another one wrote
    cost = watched(*command, cwd=place, folder=place, PYTHONPATH=str(REPOSITORY), **QUIET)
    if cost.status:
        raise SystemExit(cost.said[-3000:])
    parts: dict[str, int] = defaultdict(int)
    ids: list[Any] = []
    for shard in sorted(target.rglob("*-[0-9]*.parquet")):
        found = pq.read_table(shard, columns=["id"])["id"].to_pylist()
        parts[shard.name.split("-")[0]] += len(found)
        ids += found
    shutil.rmtree(place)
    return cost, parts, set(map(int, ids))


def side_by_side(source: Path, runs: int, folder: Path) -> tuple[list[Cost], list[Cost], dict[str, int]]:
    """The costs of both, by turns, and the rows that both write; ends the bench where they keep different rows."""
    format, target = source.suffix[1:], folder / "place/out"
    ours = [POLAR, "prepare", "--source", str(source), "--output", str(target), "--set", FILTERS]
    theirs = [sys.executable, "-c", THEIRS, format, str(source), str(target)]
    costs: dict[str, list[Cost]] = {"ours": [], "theirs": []}
    kept = {}
    for _ in range(runs):
        for name, command in (("theirs", theirs), ("ours", ours)):
            cost, *kept[name] = take(command, folder / "place", target)
            costs[name].append(cost)
            print(f"  {format:8} {name:7} {cost.wall:7.2f} s {cost.memory / 1e6:7.0f} MB", file=sys.stderr, flush=True)
        assert kept["ours"] == kept["theirs"], [found[0] for found in kept.values()]
    return costs["ours"], costs["theirs"], kept["ours"][0]


def middle(costs: list[Cost], part: str) -> float:
    """The median of `part`."""
    return statistics.median(getattr(cost, part) for cost in costs)


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=(100_000, 1_000_000))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    print("| format | rows | what | wall s | CPU s | memory MB | disk MB | |\n|---|---|---|---|---|---|---|---|")
    for format in options.formats:
        for rows in options.rows:
            with tempfile.TemporaryDirectory(prefix="polar-bench-") as name:
                ours, theirs, parts = side_by_side(make(Path(name) / f"rows.{format}", rows), options.runs, Path(name))
            ratio = f"{middle(theirs, 'wall') / middle(ours, 'wall'):.2f} times as fast"
            for what, costs, note in (("plain `datasets`", theirs, ""), ("`polar-tools prepare`", ours, ratio)):
                figures = f"{middle(costs, 'wall'):.1f} | {middle(costs, 'cpu'):.1f} | {middle(costs, 'memory') / 1e6:.0f}"
                print(f"| {format} | {rows:,} | {what} | {figures} | {middle(costs, 'disk') / 1e6:.0f} | {note} |", flush=True)
            print(f"  {rows:,} rows: both keep the same {parts}", file=sys.stderr)
    print(f"ours: polar-tools prepare --source rows.FORMAT --output FOLDER --set '{FILTERS}'\ntheirs, as a script:\n{THEIRS}")


if __name__ == "__main__":
    main()
