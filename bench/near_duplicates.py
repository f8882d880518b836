"""The filter `near_duplicates` beside datatrove's MinHash, on the same rows in one run: `python -m bench.near_duplicates`. Never a test.

Every tenth row is an earlier one with a few words changed, left out or put in. Another tenth shares half its words, a template, with
its like and is no duplicate. How alike the planted rows are is counted here, by sets of word 5-grams. Datatrove, which splits words with
spaCy, works with as many processes as there are cores; ours is one. Both read Parquet and write the numbers of the rows that stay.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from itertools import accumulate
from pathlib import Path

from tests.watched import Cost, watched

REPOSITORY = Path(__file__).parent.parent
RIVAL = "datatrove==0.10.1"
NEEDED = ("pyarrow", "regex", "xxhash<4", "nltk", "ftfy", "orjson", "fasteners", "tokenizers", "spacy>=3.8")
"""Of its extras those without which its MinHash doesn't start."""
WORDS = 200
TEMPLATES = 10
LETTERS = str.maketrans("0123456789", "abehilorst")
"""Words are numbers written in letters: to datatrove all numbers are the same."""

OURS = """
import json, sys
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
from polar_tools.filters import near_duplicates
def chunks():
    for file in sorted(Path(sys.argv[1]).glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(10_000):
            yield pa.Table.from_batches([batch])
options = near_duplicates.Options(columns=("text",))
kept = [int(name) for table in near_duplicates.apply(chunks(), options) for name in table["id"].to_pylist()]
Path(sys.argv[2]).write_text(json.dumps(kept))
"""

THEIRS = """
import json, sys
from pathlib import Path
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter
rows, target, folder, workers, buckets, hashes = *sys.argv[1:4], *map(int, sys.argv[4:])
config = MinhashConfig(num_buckets=buckets, hashes_per_bucket=hashes)
def run(number, tasks, *pipeline):
    LocalPipelineExecutor(list(pipeline), tasks=tasks, workers=workers, logging_dir=f"{folder}/logs/{number}").run()
if __name__ == "__main__":
    read = ParquetReader(rows)
    run(1, workers, read, MinhashDedupSignature(f"{folder}/signatures", config))
    run(2, buckets, MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config))
    run(3, 1, MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config))
    run(4, workers, read, MinhashDedupFilter(f"{folder}/remove"), JsonlWriter(f"{folder}/out", compression=None))
    kept = [int(json.loads(line)["id"]) for file in Path(folder, "out").glob("*.jsonl") for line in file.open()]
    Path(target).write_text(json.dumps(sorted(kept)))
"""


Planted = dict[int, tuple[int, float]]
"""By the number of a planted row: the one it was made from, and how alike they are."""


def make(folder: Path, rows: int) -> Planted:
    """As many Parquet files as there are cores; what is planted in them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(0)  # noqa: S311 (it plants rows)
    vocabulary = [f"{number:05}".translate(LETTERS) for number in range(50_000)]
    weights = list(accumulate(1 / (number + 10) for number in range(50_000)))

    def draw(count: int) -> list[str]:
        return chance.choices(vocabulary, cum_weights=weights, k=count)

    templates = [draw(WORDS // 2) for _ in range(TEMPLATES)]
    texts: list[list[str]] = []
    planted: Planted = {}
    for number in range(rows):
        if number % 10 == 9:
            original = chance.randrange(number) // 10 * 10 + chance.randrange(9)  # which is not planted itself
            texts.append(edited(texts[original], chance, vocabulary))
            planted[number] = original, jaccard(texts[original], texts[-1])
        else:
            texts.append([*chance.choice(templates), *draw(WORDS // 2)] if number % 10 == 4 else draw(WORDS))
    share = -(-rows // (os.cpu_count() or 1))
    for start in range(0, rows, share):
        part = {
            "id": [str(number) for number in range(start, min(start + share, rows))],
            "text": [" ".join(words) for words in texts[start : start + share]],
        }
        pq.write_table(pa.table(part), folder / f"{start:08}.parquet")
    return planted


def edited(words: list[str], chance: random.Random, vocabulary: list[str]) -> list[str]:
    """`words` with up to a dozen of them changed, left out or put in."""
    words = list(words)
    for _ in range(chance.randint(1, 12)):
        place, kind = chance.randrange(len(words)), chance.randrange(3)
        words[place : place + (kind > 0)] = [chance.choice(vocabulary)] if kind < 2 else []
    return words


def jaccard(one: list[str], other: list[str]) -> float:
    """How many of their 5-grams both have, of those that either has."""
    first, second = ({tuple(words[start : start + 5]) for start in range(len(words) - 4)} for words in (one, other))
    return len(first & second) / len(first | second)


def rival(folder: Path) -> str:
    """The Python of an environment that has datatrove and what it needs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin/pip"), "install", "--disable-pip-version-check", "--quiet", RIVAL, *NEEDED]
    if (done := subprocess.run(install, capture_output=True, text=True, check=False)).returncode:
        raise SystemExit(done.stderr)
    return str(folder / "bin/python")


def take(place: Path, program: str, python: str, *arguments: str) -> tuple[Cost, set[int]]:
    """Run one of them on the rows; what it took, and the rows that stay."""
    place.mkdir()
    script = place / "run.py"
    script.write_text(program)
    cost = watched(
        python,
        str(script),
        str(place.parent / "rows"),
        str(place / "kept.json"),
        *arguments,
        cwd=place,
        folder=place,
        PYTHONPATH=str(REPOSITORY),
    )
    if cost.status:
        raise SystemExit(cost.said[-3000:])
    return cost, set(json.loads((place / "kept.json").read_text()))


def line(what: str, cost: Cost, kept: set[int], planted: Planted, rows: int) -> str:
    """One line of the table. Datatrove may drop the original and keep the copy, which is as good."""
    gone = set(range(rows)) - kept
    shares = []
    for low, high in ((0.8, 1.1), (0.7, 0.8), (0, 0.7)):
        pairs = [{row, original} for row, (original, alike) in planted.items() if low <= alike < high]
        shares.append(sum(not pair.isdisjoint(gone) for pair in pairs) / max(len(pairs), 1))
    right = {number for row, (original, alike) in planted.items() if alike >= 0.7 for number in (row, original)}
    anyhow = {number for row, (original, _) in planted.items() for number in (row, original)}
    figures = [*shares, len(gone & right) / max(len(gone), 1)]
    return f"{what:36} {cost.wall:7.1f} {cost.memory / 1e6:7.0f} {' '.join(f'{share:9.2%}' for share in figures)} {len(gone - anyhow):7}"


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polar-bench-") as name:
        folder = Path(name)
        (folder / "rows").mkdir()
        planted = make(folder / "rows", options.rows)
        python, workers = rival(folder / "rival"), str(os.cpu_count() or 1)
        print(f"{options.rows:,} rows of {WORDS} words, {len(planted):,} of them planted; recall by how alike they are")
        print(f"{'':36} {'s':>7} {'MB':>7} {'>= 0.8':>9} {'0.7-0.8':>9} {'< 0.7':>9} {'precision':>9} {'others':>7}")
        for what, program, *command in (
            ("near_duplicates, one process", OURS, sys.executable),
            (f"{RIVAL}, 14 x 8 (default)", THEIRS, python, str(folder / "theirs"), workers, "14", "8"),
            (f"{RIVAL}, 25 x 5 (as ours)", THEIRS, python, str(folder / "same"), workers, "25", "5"),
        ):
            cost, kept = take(folder / what.replace(" ", "_"), program, *command)
            print(line(what, cost, kept, planted, options.rows), flush=True)
    print("precision: of the rows dropped, those of a planted pair alike by 0.7 or more; others: rows dropped that are of no pair")
    print(
        "ours: near_duplicates.apply with its defaults; datatrove: LocalPipelineExecutor, MinhashDedupSignature, Buckets, Cluster, Filter"
    )


if __name__ == "__main__":
    main()
