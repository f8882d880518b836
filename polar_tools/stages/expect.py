"""Look whether rows are what is expected of them, before anything is trained on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets
from polar_tools.artifact import Facts, canonical
from polar_tools.dataset_config import RowExpectations
from polar_tools.errors import DataError
from polar_tools.filters import base
from polar_tools.methods.base import TokenExpectations
from polar_tools.specs import ExpectSpec

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("pyarrow",)
PARTS = ("train", "test")
SHOWN = 3
"""Values that a message names at most."""


def run(spec: ExpectSpec, folder: Path) -> Facts:
    """Write report.json with all that was looked at; raises DataError where something isn't as expected."""
    payload = Path(spec.of)
    said = [*_rows(payload, spec.rows or RowExpectations()), *_tokens(payload.parent, spec.tokens or TokenExpectations())]
    failed = [f"{what}: {found}" for what, found, met in said if not met]
    if failed:
        raise DataError("\n".join([f"{payload.parent} isn't what is expected of it (`expect` in the config)", *failed]))
    report = {"met": [{"expected": what, "found": found} for what, found, _ in said]}
    (folder / "report.json").write_bytes(canonical(report))
    return Facts(recorded=report)


Finding = tuple[str, str, bool]
"""What is expected, what was found, and whether that is it."""


def _rows(data: Path, expect: RowExpectations) -> Iterator[Finding]:
    if expect.rows is not None:
        found, most = sum(datasets.count(data, part) for part in PARTS), expect.rows.max
        words = f"at least {expect.rows.min:,} rows" if most is None else f"from {expect.rows.min:,} to {most:,} rows"
        yield words, f"there are {found:,}", expect.rows.min <= found and (most is None or found <= most)
    if expect.labels is not None:
        yield _labels(data, set(expect.labels))
    yield from (_unique(data, column) for column in expect.unique)
    yield from (_matching(data, column, expression) for column, expression in sorted(expect.pattern.items()))


def _tokens(folder: Path, expect: TokenExpectations) -> Iterator[Finding]:
    if expect.max_truncated is not None:
        report = json.loads((folder / "report.json").read_bytes())
        share = (report["cut"] + report["dropped"]) / report["rows"]
        what = f"max_length cuts or drops at most {expect.max_truncated:.2%} of the rows"
        yield what, f"it does so with {share:.2%}", share <= expect.max_truncated


def _labels(data: Path, expected: set[str]) -> Finding:
    found = {part: {str(value) for value in _values(data, part, "label")} for part in PARTS}
    missing, unknown = sorted(expected - found["train"]), sorted((found["train"] | found["test"]) - expected)
    said = [f"{', '.join(missing)} not in the training rows"] * bool(missing) + [f"there is also {', '.join(unknown)}"] * bool(unknown)
    return f"the labels {', '.join(sorted(expected))}", "; ".join(said) or "they are there", not said


def _unique(data: Path, column: str) -> Finding:
    seen: set[str] = set()
    twice: list[str] = []
    for part in PARTS:
        for value in map(str, _values(data, part, column)):
            if value in seen:
                twice.append(value)
            seen.add(value)
    shown = ", ".join(f"`{value[:80]}`" for value in twice[:SHOWN])
    return f"no value of `{column}` twice", f"{len(twice):,} rows repeat one, such as {shown}" if twice else "none is", not twice


def _matching(data: Path, column: str, expression: str) -> Finding:
    import pyarrow.compute as pc

    others: list[str] = []
    for part in PARTS:
        for table in _with(data, part, column):
            text = base.text_column(table, column)
            others += text.filter(pc.invert(pc.fill_null(pc.match_substring_regex(text, expression), False))).to_pylist()
    shown = ", ".join(f"`{str(value)[:80]}`" for value in others[:SHOWN])
    return f"`{expression}` in every `{column}`", f"{len(others):,} rows are without, such as {shown}" if others else "it is", not others


def _values(data: Path, part: str, column: str) -> Iterator[Any]:
    for table in _with(data, part, column):
        for value in table[column].to_pylist():
            yield from value if isinstance(value, list) else [value]


def _with(data: Path, part: str, column: str) -> Iterator[pa.Table]:
    """The tables of a part, which have `column`; raises DataError where they don't."""
    for table in datasets.tables(data, part):
        base.require(table, column)
        yield table
