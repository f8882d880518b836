"""Read the mirrored files, keep the named columns, filter, split, write Parquet. Knows no model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, funnel, pages, reading, recognition, splitting
from polar_tools.artifact import Facts, canonical
from polar_tools.errors import DataError
from polar_tools.filters.base import ROW
from polar_tools.specs import PrepareSpec
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("numpy", "phonenumbers", "py3langid", "pyarrow", "rensa", "scikit-learn", "scipy", *pages.LIBRARIES)
PARTS = {"train": splitting.TRAIN, "test": splitting.TEST}


def run(spec: PrepareSpec, folder: Path) -> Facts:
    """Write data/{train,test}-NUMBER.parquet, report.json, which accounts for every row, and what was set aside to quarantine/."""
    quarantine = reading.Quarantine(folder / "quarantine") if spec.on_bad_row == "quarantine" else None
    read = Counted(reading.read(Path(spec.source), spec.format, quarantine))
    shape, chosen = _shaped((datasets.choose_columns(table, spec.columns) for table in read), spec.shape)
    chunks, steps = funnel.through(chosen, spec.filters)
    rows = Spool(chunks)
    sides = splitting.sides(rows, spec.split)
    parts = {name: _write(rows, sides == side, folder / spec.PAYLOAD, name) for name, side in PARTS.items()}
    report = {
        "shape": shape,
        "columns": [] if rows.schema is None else [name for name in rows.schema.names if name != ROW],
        "read": {"rows": read.rows + (quarantine.count if quarantine else 0), "quarantined": quarantine.count if quarantine else 0},
        "filters": [step.as_dict() for step in steps],
        "split": {**parts, "neither": rows.rows - sum(parts.values())},
    }
    (folder / "report.json").write_bytes(canonical(report))
    (folder / "report.html").write_text(_page(folder.name, report, next(iter(rows))), encoding="utf-8")
    told = {name: report[name] for name in ("shape", "columns", "read")}
    return Facts(recorded={**told, "funnel": _funnel(read.rows, report)})


def _shaped(chunks: Iterator[pa.Table], shape: str) -> tuple[dict[str, Any], Iterator[pa.Table]]:
    """What the data is taken for, and the tables with the columns that methods read."""
    first = next(chunks)
    whole = itertools.chain([first], chunks)
    if shape == "none":
        return {"name": "none", "reason": "`shape` says so"}, whole
    found = recognition.recognise(first.schema, None if shape == "auto" else shape)
    if found is None:
        return {"name": "none", "reason": recognition.unrecognised(first.schema)}, whole
    return {"name": found.name, "columns": found.columns, "reason": found.reason}, map(found.convert, whole)


class Counted:
    """The tables of an iterator, and how many rows have passed."""

    def __init__(self, chunks: Iterator[pa.Table]) -> None:
        self._chunks, self.rows = chunks, 0

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._chunks:
            self.rows += table.num_rows
            yield table


def _write(rows: Spool, chosen: Any, folder: Path, name: str) -> int:
    """The chosen rows as shards; returns how many they are. Raises DataError where there are none."""

    def tables() -> Iterator[pa.Table]:
        seen = 0
        for table in rows:
            yield table.filter(chosen[seen : seen + table.num_rows]).drop_columns([ROW])
            seen += table.num_rows

    count = int(chosen.sum())
    if not count:
        raise DataError(f"split: {name} would have no rows; {rows.rows} are left after the filters")
    datasets.write_shards(tables(), folder, name)
    return count


def _funnel(read: int, report: dict[str, Any]) -> list[dict[str, Any]]:
    """How many rows each step left, for the report over all."""
    passed = [{"step": step["step"], "rows": step["rows"]} for step in report["filters"]]
    return [{"step": "read", "rows": read}, *passed, *({"step": name, "rows": report["split"][name]} for name in PARTS)]


def _page(name: str, report: dict[str, Any], first: pa.Table) -> str:
    """report.html."""
    kept = [{"row": row.pop(ROW), "values": row} for row in first.slice(0, funnel.SAMPLES).to_pylist()]
    dropped = sum(step["dropped"] for step in report["filters"])
    return pages.render("prepare.html.jinja", name=name, report=report, dropped=dropped, kept=kept, funnel=list(_bars(report)))


def _bars(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The funnel as bars: what each step left, and what it took."""
    source = report["read"]["rows"]

    def bar(name: str, rows: int, removed: int = 0, kept: bool = False) -> dict[str, Any]:
        return {"name": name, "rows": rows, "removed": removed, "share": round(100 * rows / max(source, 1), 2), "kept": kept}

    yield bar("source", source)
    if unreadable := report["read"]["quarantined"]:
        yield bar("readable", source - unreadable, unreadable)
    yield from (bar(step["step"], step["rows"], step["dropped"]) for step in report["filters"])
    yield from (bar(part, rows, kept=True) for part, rows in report["split"].items() if rows)
