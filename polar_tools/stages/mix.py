"""Mix prepared datasets: training rows by weight in a seeded order, and all their test rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets
from polar_tools.artifact import Facts, canonical
from polar_tools.specs import MixSpec

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("numpy", "pyarrow")
ROWS = 10_000
"""Rows that are put in order at once."""


@dataclass(frozen=True)
class Taken:
    """Of the training rows of a dataset those that are taken: each so many whole times, and these once more."""

    data: Path
    rows: int
    passes: int
    again: Any

    @property
    def count(self) -> int:
        """How many rows that makes."""
        return self.passes * self.rows + int(self.again.sum())

    def tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows taken."""
        for _ in range(self.passes):
            yield from datasets.tables(self.data, "train", schema)
        seen = 0
        for table in datasets.tables(self.data, "train", schema) if self.again.any() else ():
            yield table.filter(self.again[seen : seen + table.num_rows])
            seen += table.num_rows


def run(spec: MixSpec, folder: Path) -> Facts:
    """Write data/{train,test}-NUMBER.parquet and report.json, which says how many rows each dataset gave, and of how many."""
    import numpy as np

    chance = np.random.default_rng(spec.seed)
    parts = [Path(part.data) for part in spec.parts]
    schema = datasets.common_schema({part.parent.name: datasets.schema(part) for part in parts})
    taken = list(_taken(spec, chance))
    order = chance.permutation(np.repeat(np.arange(len(taken)), [one.count for one in taken]))
    datasets.write_shards(_interleaved([one.tables(schema) for one in taken], order), folder / spec.PAYLOAD, "train")
    held_out = sum(datasets.count(part, "test") for part in parts)
    if held_out:
        tests = (table for part in parts for table in datasets.tables(part, "test", schema))
        datasets.write_shards(tests, folder / spec.PAYLOAD, "test")
    report = {
        "columns": schema.names,
        "parts": [{"dataset": one.data.parent.name, "rows": one.rows, "taken": one.count} for one in taken],
        "split": {"train": len(order), "test": held_out, "neither": 0},
    }
    (folder / "report.json").write_bytes(canonical(report))
    return Facts(recorded={**report, "shape": _shape(parts), "funnel": list(_funnel(report))})


def _taken(spec: MixSpec, chance: Any) -> Iterator[Taken]:
    """As many rows of each dataset as its weight asks for, until one (or every one) has no more."""
    import numpy as np

    sizes = [datasets.count(Path(part.data), "train") for part in spec.parts]
    laps = [size / part.weight for size, part in zip(sizes, spec.parts, strict=True)]
    lap = min(laps) if spec.until == "first_exhausted" else max(laps)
    for part, rows in zip(spec.parts, sizes, strict=True):
        wanted = max(1, round(lap * part.weight))
        again: Any = np.zeros(rows, dtype=bool)
        again[chance.permutation(rows)[: wanted % rows]] = True
        yield Taken(Path(part.data), rows, wanted // rows, again)


def _interleaved(streams: Sequence[Iterator[pa.Table]], order: Any) -> Iterator[pa.Table]:
    """The next row of stream order[0], then of order[1], and so on."""
    import numpy as np
    import pyarrow as pa

    readers = [_Reader(stream) for stream in streams]
    for start in range(0, len(order), ROWS):
        turn = order[start : start + ROWS]
        counts = np.bincount(turn, minlength=len(readers))
        rows = pa.concat_tables([reader.take(int(count)) for reader, count in zip(readers, counts, strict=True) if count])
        yield rows.take(np.argsort(np.argsort(turn, kind="stable"), kind="stable"))


class _Reader:
    """A stream of tables of which one takes so many rows at a time."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables, self._rest = tables, next(tables)

    def take(self, count: int) -> pa.Table:
        """The next `count` rows."""
        import pyarrow as pa

        held = [self._rest]
        while sum(table.num_rows for table in held) < count:
            held.append(next(self._tables))
        whole = pa.concat_tables(held)
        self._rest = whole.slice(count)
        return whole.slice(0, count)


def _shape(parts: Sequence[Path]) -> dict[str, Any]:
    """The shape that all datasets were taken for."""
    shapes = [json.loads((part.parent / "report.json").read_bytes())["shape"]["name"] for part in parts]
    return {"name": shapes[0] if len(set(shapes)) == 1 else "none", "reason": f"the datasets are {', '.join(shapes)}"}


def _funnel(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What each dataset gave, for the report over all."""
    yield {"step": "source", "rows": sum(part["rows"] for part in report["parts"]), "removed": 0, "kept": False}
    for part in report["parts"]:
        left_out = max(0, part["rows"] - part["taken"])
        yield {"step": part["dataset"], "rows": part["taken"], "removed": left_out, "kept": False}
    yield from ({"step": name, "rows": count, "removed": 0, "kept": True} for name, count in report["split"].items() if count)
