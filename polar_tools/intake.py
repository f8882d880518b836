"""The rows of a part: read from their files, brought into a shape, sent through the filters, and every one accounted for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, embedded, funnel, reading, recognition
from polar_tools.errors import DataError
from polar_tools.filters.base import data_columns
from polar_tools.reading import Quarantine
from polar_tools.selection import Selection
from polar_tools.specs import Files, PrepareSpec
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa


class Part:
    """What the filters left of the files of a part, and what became of all other rows."""

    def __init__(self, name: str, files: Files, spec: PrepareSpec, quarantine: Quarantine | None, shape: str) -> None:
        before = quarantine.count if quarantine else 0
        read = _Counted(reading.read(Path(files.source), spec.format, quarantine, selection(files, spec), f"{name}_data"))
        chosen = (datasets.choose_columns(table, spec.columns) for table in read)
        self.shape, shaped = _shaped(embedded.parsed(chosen, spec.json_columns), shape)
        chunks, self.steps = funnel.through(shaped, spec.filters)
        self.name, self.rows = name, Spool(chunks)
        self.quarantined = quarantine.count - before if quarantine else 0
        self.read = read.rows + self.quarantined
        if not self.rows.rows:
            raise DataError(f"no row of {name} is left: {self.read} were read, and {self._losses()}")

    def _losses(self) -> str:
        lost = [f"`{step.name}` dropped {step.came - step.went}" for step in self.steps if step.came > step.went]
        return ", ".join([*lost, *([f"{self.quarantined} were set aside"] if self.quarantined else [])])

    @property
    def schema(self) -> pa.Schema:
        """The columns that are data."""
        return _data(self.rows)

    def tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Its rows, with the columns and types of `schema` only."""
        for table in self.rows:
            yield table.select(schema.names).cast(schema)


class _Counted:
    """The tables of an iterator, and how many rows have passed."""

    def __init__(self, chunks: Iterator[pa.Table]) -> None:
        self._chunks, self.rows = chunks, 0

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._chunks:
            self.rows += table.num_rows
            yield table


def _data(rows: Spool) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([]) if rows.schema is None else datasets.only(rows.schema, data_columns(rows.schema.empty_table()))


def selection(files: Files, spec: PrepareSpec) -> Selection:
    """What is asked of a source; what the test rows take of the same source is not trained on."""
    other = spec.test if files is spec.train and spec.test is not None and spec.test.source == files.source else None
    without = None if other is None else Selection(other.data, other.dir, other.split)
    return Selection(files.data, files.dir, files.split, without)


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
