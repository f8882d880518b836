"""Send tables through filters, and know of every row what became of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polar_tools import discovery
from polar_tools.filters.base import ROW, Options, data_columns

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES = 5
"""Dropped rows that are kept of each step, for people to look at."""
WINDOW = 20
"""Tables that may lie between what went into a filter and what came out of it, as long as samples are looked for."""


@dataclass
class Step:
    """What one filter did: rows that came, rows that went on, and the first that didn't."""

    name: str
    samples: int = SAMPLES
    came: int = 0
    went: int = 0
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The step for the report."""
        return {"step": self.name, "rows": self.went, "dropped": self.came - self.went, "samples": self.dropped}


def through(chunks: Iterator[pa.Table], filters: tuple[Options, ...]) -> tuple[Iterator[pa.Table], list[Step]]:
    """The tables that come out of the last filter, and what each one did, which is known when the last table has been taken."""
    samples = 0 if any(options.PRIVATE for options in filters) else SAMPLES
    steps = [Step(options.name, samples) for options in filters]
    for options, step in zip(filters, steps, strict=True):
        chunks = _watched(chunks, options, step)
    return chunks, steps


def _watched(chunks: Iterator[pa.Table], options: Options, step: Step) -> Iterator[pa.Table]:
    window: deque[pa.Table] = deque()

    def coming() -> Iterator[pa.Table]:
        for table in chunks:
            step.came += table.num_rows
            if len(window) < WINDOW and len(step.dropped) < step.samples:
                window.append(table)
            yield table

    for table in discovery.load("filters", options.name).apply(coming(), options):
        step.went += table.num_rows
        _look_for_dropped(window, table, step)
        if table.num_rows:
            yield table
    while window and len(step.dropped) < step.samples:
        _sample(window.popleft(), None, step)


def _look_for_dropped(window: deque[pa.Table], table: pa.Table, step: Step) -> None:
    """Compare what came out with what had gone in, up to the last row that came out: filters keep the order."""
    import pyarrow.compute as pc

    if not table.num_rows:
        return
    last = table[ROW][-1].as_py()
    while window and len(step.dropped) < step.samples and window[0][ROW][0].as_py() <= last:
        before = window.popleft()
        passed = pc.less_equal(before[ROW], last)
        _sample(before.filter(passed), table, step)
        rest = before.filter(pc.invert(passed))
        if rest.num_rows:
            window.appendleft(rest)
            break


def _sample(before: pa.Table, after: pa.Table | None, step: Step) -> None:
    import pyarrow.compute as pc

    gone = before if after is None else before.filter(pc.invert(pc.is_in(before[ROW], after[ROW].combine_chunks())))
    for row in gone.slice(0, step.samples - len(step.dropped)).select([ROW, *data_columns(gone)]).to_pylist():
        step.dropped.append({"row": row.pop(ROW), "values": readable(row)})


def readable(value: Any) -> Any:
    """`value` as JSON can say it: of a picture, or other bytes, how many they are; of dates and the like their text."""
    if isinstance(value, dict):
        return {name: readable(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [readable(member) for member in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if value is None or isinstance(value, str | int | float) else str(value)
