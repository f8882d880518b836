"""A comparison as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from polar_tools.comparing.comparison import Comparison, Kind, Told
from polar_tools.comparing.difference import Standing
from polar_tools.comparing.findings import Findings
from polar_tools.comparing.sentences import numbers, shown

HEAD = ("", "value", "95 % CI", "difference", "95 % CI", "p", "Holm", "detectable")
TIMES_100 = "x 100"


def lines(found: Findings) -> Iterator[str]:
    """The whole comparison, its parts where there are any, the sentences, and what to know of it."""
    yield from _comparison(found.whole, f"{_rows(found.whole)}, {found.whole.samples:,} draws, seed {found.whole.seed}")
    if found.parts is not None and found.parts.clean is not None:
        for name, one in (("contaminated", found.parts.contaminated), ("clean", found.parts.clean)):
            yield from () if one is None else ("", *_comparison(one, f"the {name} part: {_rows(one)}"))
    yield ""
    yield from (f"{one.en}." for one in (*found.sentences, *found.stories))
    yield from (f"note: {note}" for note in found.notes)


def _comparison(one: Comparison, title: str) -> Iterator[str]:
    yield title
    rows = [row for figure, kind in one.kinds.items() for row in _figure(one, figure, kind)]
    widths = [max(len(row[place]) for row in (HEAD, *rows)) for place in range(len(HEAD))]
    for row in (HEAD, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _rows(one: Comparison) -> str:
    return f"{one.rows:,} row{'' if one.rows == 1 else 's'}"


def _figure(one: Comparison, figure: str, kind: Kind) -> Iterator[tuple[str, ...]]:
    """A heading, then a line a lot with each of its pairs, or alone where it is nobody's other."""
    yield (f"{shown(figure)}{f' ({TIMES_100})' if kind.share else ''}{' (lower is better)' if kind.lower_is_better else ''}", *[""] * 7)
    for lot, figures in one.lots.items():
        if figure not in figures:
            continue
        stands = _standing(figures[figure], kind)
        pairs = [(pair.baseline, pair.figures[figure]) for pair in one.pairs if pair.other == lot and figure in pair.figures]
        several = len({pair.baseline for pair in one.pairs}) > 1
        if not pairs:
            yield (f"  {lot}", *stands, *[""] * 5)
        for number, (baseline, told) in enumerate(pairs):
            name = f"  {lot} - {baseline}" if several else f"  {lot}"
            yield (name, *(stands if not number else ("", "")), *_difference(told, kind))


def _standing(found: Standing, kind: Kind) -> tuple[str, str]:
    ends = found.interval
    values = numbers((found.value, *(ends or ()), *([] if found.spread is None else [found.spread])), kind)
    spread = f" ± {values[-1]}" if found.spread is not None else ""
    return values[0] + spread, f"{values[1]} to {values[2]}" if ends else "-"


def _difference(told: Told, kind: Kind) -> tuple[str, ...]:
    found, ends = told.difference, told.difference.interval
    values = numbers((found.value, *(ends or ())), kind)
    value = values[0] if values[0].startswith("−") else f"+{values[0]}"
    detectable = numbers((found.detectable,), kind)[0] if found.detectable else "-"
    return value, f"{values[1]} to {values[2]}" if ends else "-", _chance(found.p), _chance(told.p_holm), detectable


def _chance(p: float | None) -> str:
    """A p value; the smallest ones are not to be read as exact."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
