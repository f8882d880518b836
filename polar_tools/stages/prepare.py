"""Read the mirrored files, keep the named columns, filter, split, write Parquet. Knows no model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, funnel, pages, reading, splitting
from polar_tools.artifact import Facts, canonical
from polar_tools.dataset_config import Split
from polar_tools.errors import DataError
from polar_tools.filters.base import ROW
from polar_tools.intake import Part
from polar_tools.measures import Texts
from polar_tools.specs import PrepareSpec

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("numpy", "phonenumbers", "py3langid", "pyarrow", "rensa", "scikit-learn", "scipy", *pages.LIBRARIES)
UNMEASURED = "no row is held out, so nothing trained on this can be measured: give a `split`, a `train_test_split_ratio` or test data"


def run(spec: PrepareSpec, folder: Path) -> Facts:
    """Write data/{train,test}-NUMBER.parquet, report.json, which accounts for every row, and what was set aside to quarantine/."""
    parts = _parts(spec, folder)
    measured = {"train": Texts(), "test": Texts()}
    written = (
        _split(parts[0], spec.split, folder / spec.PAYLOAD, measured) if len(parts) == 1 else _given(parts, folder / spec.PAYLOAD, measured)
    )
    report = {
        "shape": parts[0].shape,
        "columns": datasets.schema(folder / spec.PAYLOAD).names,
        "read": {"rows": sum(part.read for part in parts), "quarantined": sum(part.quarantined for part in parts)},
        "filters": [{"part": part.name, **step.as_dict()} for part in parts for step in part.steps],
        "split": written,
        "measures": {name: measured[name].as_dict() for name in measured if written[name]},
        "warnings": [] if written["test"] else [UNMEASURED],
    }
    for warning in report["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    bars = list(_funnel(parts, written))
    (folder / "report.json").write_bytes(canonical(report))
    (folder / "report.html").write_text(_page(folder.name, report, parts, bars), encoding="utf-8")
    return Facts(recorded={**{name: report[name] for name in ("shape", "columns", "read")}, "funnel": bars})


def _parts(spec: PrepareSpec, folder: Path) -> list[Part]:
    """All rows as one part, or those to train on and those held out, where these have files of their own."""
    quarantine = reading.Quarantine(folder / "quarantine") if spec.on_bad_row == "quarantine" else None
    parts = [Part("train", spec.train, spec, quarantine, spec.shape)]
    if spec.test is not None:
        parts.append(Part("test", spec.test, spec, quarantine, parts[0].shape["name"]))
    if quarantine is not None:
        quarantine.close()
    return parts


def _split(part: Part, split: Split | None, folder: Path, measured: Mapping[str, Texts]) -> dict[str, int]:
    """Write and measure the rows of each side; returns how many they are."""
    sides = splitting.sides(part.rows, split)
    counts = {name: int((sides == side).sum()) for name, side in splitting.SIDES.items()}
    for name, side in splitting.SIDES.items():
        if name == "neither" or (name == "test" and split is None):
            continue
        if not counts[name]:
            raise DataError(f"split: {name} would have no rows; {part.rows.rows} are left after the filters")
        datasets.write_shards(measured[name].watch(_chosen(part, sides == side)), folder, name)
    return counts


def _chosen(part: Part, chosen: Any) -> Iterator[pa.Table]:
    seen = 0
    for table in part.tables(part.schema):
        yield table.filter(chosen[seen : seen + table.num_rows])
        seen += table.num_rows


def _given(parts: list[Part], folder: Path, measured: Mapping[str, Texts]) -> dict[str, int]:
    """Write and measure train and test, each from its own files; returns how many rows they have."""
    schema = datasets.common_schema({part.name: part.schema for part in parts})
    for part in parts:
        datasets.write_shards(measured[part.name].watch(part.tables(schema)), folder, part.name)
    return {**{part.name: part.rows.rows for part in parts}, "neither": 0}


def _funnel(parts: list[Part], written: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The way from the source to the split: what each step left, and what it took."""

    def bar(name: str, rows: int, removed: int = 0, kept: bool = False) -> dict[str, Any]:
        return {"step": name if len(parts) == 1 or kept else f"{part.name}: {name}", "rows": rows, "removed": removed, "kept": kept}

    for part in parts:
        yield bar("source", part.read)
        if part.quarantined:
            yield bar("readable", part.read - part.quarantined, part.quarantined)
        yield from (bar(step.name, step.went, step.came - step.went) for step in part.steps)
    yield from (bar(name, rows, kept=name != "neither") for name, rows in written.items() if rows)


def _page(name: str, report: dict[str, Any], parts: list[Part], bars: list[dict[str, Any]]) -> str:
    """report.html."""
    first = next(iter(parts[0].rows))
    kept = [{"row": row.pop(ROW), "values": funnel.readable(row)} for row in first.slice(0, funnel.SAMPLES).to_pylist()]
    dropped = sum(step["dropped"] for step in report["filters"])
    shown = {"dropped": dropped, "kept": kept, "funnel": bars, "top": max(bar["rows"] for bar in bars)}
    return pages.render("prepare.html.jinja", name=name, report=report, two=len(parts) > 1, **shown)
