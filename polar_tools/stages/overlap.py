"""Look for text that training rows have in common with the test rows of an evaluation, and show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import pages
from polar_tools.artifact import Facts, canonical
from polar_tools.contamination import Search, TestRows, texts
from polar_tools.errors import DataError
from polar_tools.specs import OverlapSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.contamination import Span

LIBRARIES = ("numpy", "pyarrow", *pages.LIBRARIES)
SHOWN = 30
"""Test rows on the page, those that overlap most."""
CONTEXT, LONGEST = 200, 1000
"""Characters that are shown beside a span, and of a span."""
NAMED = 3
"""Matches that an error names."""


def run(spec: OverlapSpec, folder: Path) -> Facts:
    """Write what overlaps: report.json, report.html, matches.jsonl and two tables. Raises DataError where nothing may overlap.

    training_rows.parquet has in `row` the numbers, from 0, of the rows of the train part that share an n-gram with a test row, sorted;
    test_rows.parquet those of the test rows, and in `share` how much of each stands in training rows, between 0 and 1.
    """
    test = TestRows(texts(Path(spec.test), "test"), spec)
    if not len(test.units):
        raise DataError(f"{spec.test} has no test rows that training rows could overlap with")
    search = Search(texts(Path(spec.dataset), "train"), test)
    report = _figures(test, search)
    matches = [_match(test, *row) for row in _rows(search.listed)]
    shares = test.shares()
    _write_table(folder / spec.PAYLOAD, row=search.touching)
    _write_table(folder / "test_rows.parquet", row=(shares > 0).nonzero()[0], share=shares[shares > 0])
    _write_matches(matches, folder / "matches.jsonl")
    (folder / "report.json").write_bytes(canonical(report))
    (folder / "report.html").write_text(_page(spec, folder, report, matches, shares), encoding="utf-8")
    if spec.fail and search.pairs:
        raise DataError(_refusal(spec, folder, report, matches))
    return Facts(recorded=report)


def _figures(test: TestRows, search: Search) -> dict[str, Any]:
    shares = test.shares()
    return {
        "test": {
            "rows": len(shares),
            "too_short": int((test.lengths == 0).sum()),
            "only_templates": test.only_templates(),
            "overlapping": int((shares > 0).sum()),
            "half": int((shares >= 0.5).sum()),
            "whole": int((shares == 1).sum()),
        },
        "training": {"rows": search.rows, "overlapping": len(search.touching)},
        "matches": {"pairs": search.pairs, "listed": 0 if search.listed is None else search.listed.num_rows},
        "templates": test.templates,
    }


def _rows(listed: pa.Table | None) -> Iterator[tuple[Any, ...]]:
    """Test row, training row, n-grams, share and the training row's text of the listed pairs; the best first of every test row."""
    if listed is not None:
        keys = [("test_row", "ascending"), ("share", "descending"), ("training_row", "ascending")]
        yield from zip(*listed.sort_by(keys).to_pydict().values(), strict=True)


def _match(test: TestRows, row: int, training_row: int, ngrams: int, share: float, training: str) -> dict[str, Any]:
    """A listed pair with what both have in common, for the file and for the page."""
    text, ours, theirs = test.shared(row, training)
    return {
        "test_row": row,
        "training_row": training_row,
        "ngrams": ngrams,
        "share": round(share, 4),
        "spans": [_shortened(text[begin:end]) for begin, end in ours],
        "sides": (list(_segments(text, ours)), list(_segments(training, theirs))),
    }


def _write_table(file: Path, row: Any, **columns: Any) -> None:
    """Write the numbers of rows, and what is known of each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"row": pa.array(row, pa.int64()), **columns}), file, compression="zstd")


def _write_matches(matches: Sequence[dict[str, Any]], file: Path) -> None:
    lines = ({name: value for name, value in match.items() if name != "sides"} for match in matches)
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8", newline="\n")


def _page(spec: OverlapSpec, folder: Path, report: dict[str, Any], matches: Sequence[dict[str, Any]], shares: Any) -> str:
    """report.html: the test rows that overlap most, each with the training row that has most of it."""
    best: dict[int, dict[str, Any]] = {}
    for match in matches:
        best.setdefault(match["test_row"], match)
    worst = sorted(best.values(), key=lambda match: (-shares[match["test_row"]], match["test_row"]))[:SHOWN]
    names = {"dataset": folder.parent.parent.name, "evaluation": folder.name}
    return pages.render("overlap.html.jinja", **names, spec=spec, report=report, worst=worst, shares=shares)


def _refusal(spec: OverlapSpec, folder: Path, report: dict[str, Any], matches: Sequence[dict[str, Any]]) -> str:
    """What a person is told who wants nothing to overlap."""
    named = [f"\n  training row {one['training_row']}, test row {one['test_row']}: {' … '.join(one['spans'])}" for one in matches[:NAMED]]
    more = report["matches"]["pairs"] - len(named)
    return (
        f"{report['training']['overlapping']:,} training rows of {spec.dataset} overlap with"
        f" {report['test']['overlapping']:,} test rows of the evaluation `{folder.name}`:{''.join(named)}"
        + (f"\n  and {more:,} more" if more else "")
        + f"\nlook at {folder / 'report.html'}; then take the rows out of the source, or have it done with `policy: drop` under"
        + " `decontaminate` in the dataset, or train on them all the same with `policy: report`"
    )


def _segments(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, bool]]:
    """`text` in pieces, and of each whether it is in a span. What is far from every span is left out."""
    place = 0
    for begin, end in spans:
        yield _between(text[place:begin], first=not place), False
        yield _shortened(text[begin:end]), True
        place = end
    rest = text[place:]
    yield (rest if len(rest) <= CONTEXT else f"{rest[:CONTEXT]} …"), False


def _between(text: str, first: bool) -> str:
    if first:
        return text if len(text) <= CONTEXT else f"… {text[-CONTEXT:]}"
    return text if len(text) <= 2 * CONTEXT else f"{text[:CONTEXT]} … {text[-CONTEXT:]}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
