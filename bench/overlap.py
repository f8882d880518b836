"""The stage `overlap` on many training rows, and whether it finds what was planted: `python -m bench.overlap`. Never a test.

Words are drawn by Zipf's law from 50,000. Every thousandth training row has 13 to 100 words of a test row in it, every thousandth after
that 12, one too few.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from polar_tools import datasets
from polar_tools.specs import OverlapSpec, freeze
from tests.watched import watched

WORDS = 200
VOCABULARY = 50_000
PLANTED = 1000
"""One row of so many has words of a test row."""


def texts(rows: int, chance: random.Random) -> Iterator[list[str]]:
    """Rows of words, the most frequent of which are everywhere."""
    weights = list(accumulate(1 / (number + 10) for number in range(VOCABULARY)))
    for _ in range(rows):
        yield [f"w{number}" for number in chance.choices(range(VOCABULARY), cum_weights=weights, k=WORDS)]


def lay(folder: Path, rows: int, test_rows: int) -> set[int]:
    """Prepared data and the spec of their overlap; the training rows that overlap."""
    import pyarrow as pa

    chance = random.Random(0)  # noqa: S311 (it plants rows)
    test = list(texts(test_rows, chance))
    planted = set()

    def trained() -> Iterator[pa.Table]:
        held: list[str] = []
        for number, words in enumerate(texts(rows, chance)):
            if number % PLANTED < 2:
                size = chance.randint(13, 100) if number % PLANTED == 0 else 12
                begin, place = chance.randrange(WORDS - size), chance.randrange(WORDS - size - 1)
                words[place : place + size + 2] = ["before", *chance.choice(test)[begin : begin + size], "after"]
                planted.update({number} if size > 12 else ())
            held.append(" ".join(words))
            if len(held) == datasets.SHARD or number == rows - 1:
                yield pa.table({"text": held})
                held = []

    datasets.write_shards(trained(), folder / "train/data", "train")
    datasets.write_rows([{"text": " ".join(words)} for words in test], folder / "test/data", "test")
    for part in ("train", "test"):
        (folder / part / "manifest.json").write_text('{"record": "of this bench"}')
    spec = OverlapSpec(dataset="train/data", test="test/data", ngram_size=13, unit="auto", common=10, fail=False)
    (folder / "overlap/e").mkdir(parents=True)
    (folder / "overlap/e/spec.json").write_bytes(freeze(spec))
    return planted


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--test-rows", type=int, default=1000)
    options = parser.parse_args()
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="polar-bench-") as name:
        folder = Path(name)
        planted = lay(folder, options.rows, options.test_rows)
        cost = watched(sys.executable, "-m", "polar_tools", "overlap", "overlap/e", cwd=folder, folder=folder)
        if cost.status:
            raise SystemExit(cost.said[-3000:])
        found = set(pq.read_table(folder / "overlap/e/training_rows.parquet")["row"].to_pylist())
        report = json.loads((folder / "overlap/e/report.json").read_bytes())
    print(f"{options.rows:,} rows of {WORDS} words, {options.test_rows:,} test rows")
    print(f"{cost.wall:.1f} s, {cost.cpu:.1f} CPU s, {cost.memory / 1e6:.0f} MB")
    print(f"found {len(found & planted)} of {len(planted)} planted rows, {len(found - planted)} others")
    print(f"{report['test']['overlapping']} test rows overlap")


if __name__ == "__main__":
    main()
