"""What rendered rows ask for: a `max_length`, a preset, and what their owner should know before a GPU is taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from polar_tools.measures import Lengths
from polar_tools.tokens import Figures

MULTIPLE, MOST_CUT = 64, 0.01
"""A recommended max_length is a multiple of the one, and cuts no greater share of rows than the other."""
SMALL_ROWS, SMALL_MEAN = 1000, 500
"""Fewer rows than the one, of fewer tokens on average than the other, are a small dataset."""
MOST_OF_A_LABEL = 0.9


def would_cut(lengths: Lengths) -> list[dict[str, Any]]:
    """`max_length`, `rows` and `share` for every power of two from 128 up to the first that cuts nothing."""
    found = []
    for exponent in itertools.count(7):
        above = lengths.above(2**exponent)
        found.append({"max_length": 2**exponent, "rows": above, "share": above / lengths.rows})
        if not above:
            return found
    raise AssertionError("a longest row has no end")


def recommended_length(lengths: Lengths, known: int | None) -> dict[str, Any]:
    """`value` and `reason`: the smallest multiple of 64 that cuts at most 1 % of the rows, but no more than the `known` positions."""
    enough = lengths.quantile_above(MOST_CUT)
    value = -(-enough // MULTIPLE) * MULTIPLE
    if known is not None and value > known:
        return {"value": known, "reason": f"the model knows {known:,} positions; {_cut(lengths, known)}"}
    return {
        "value": value,
        "reason": f"the smallest multiple of {MULTIPLE} that cuts at most {MOST_CUT:.0%} of the rows; {_cut(lengths, value)}",
    }


def recommended_preset(lengths: Lengths, rows: int) -> dict[str, str]:
    """`name` and `reason`: small-dataset for fewer than 1,000 rows of fewer than 500 tokens on average, large-dataset otherwise."""
    mean = lengths.total / lengths.rows
    small = rows < SMALL_ROWS and mean < SMALL_MEAN
    few, short = ("under" if it else "not under" for it in (rows < SMALL_ROWS, mean < SMALL_MEAN))
    rule = f"{few} {SMALL_ROWS:,} rows and {short} {SMALL_MEAN} tokens"
    return {"name": "small-dataset" if small else "large-dataset", "reason": f"{rows:,} rows of {mean:,.1f} tokens on average: {rule}"}


def _cut(lengths: Lengths, limit: int) -> str:
    above = lengths.above(limit)
    return f"it cuts {above:,} of {lengths.rows:,} rows ({above / lengths.rows:.2%})" if above else "it cuts no row"


def warnings(
    figures: Figures, masked: bool, labels: Mapping[str, int] | None, known: int | None, limit: int | None, held_out: bool
) -> Iterator[str]:
    """What isn't wrong but may not be meant.

    `masked` says whether some tokens are trained on and others not; `labels` are the rows of each label where the method has labels;
    `known` are the positions that the model knows; `limit` is max_length; `held_out` says whether the dataset has test rows.
    """
    counts, rows = figures.counts, figures.counts["rows"]
    lost = counts["cut"] + counts["dropped"]
    if not held_out:
        yield "no rows are held out, so nothing can be measured: give the dataset test data or a `split`"
    if lost > MOST_CUT * rows:
        yield f"max_length {limit:,} {'cuts' if counts['cut'] else 'drops'} {_share(lost, rows)}"
    if counts["answers_cut"]:
        yield f"{_share(counts['answers_cut'], rows)} lose tokens that are trained on to max_length"
    if known is not None and (limit or known) >= known and (beyond := figures.lengths.above(known)) and limit != known:
        yield f"{_share(beyond, rows)} are longer than the {known:,} positions that the model knows; set max_length to {known} or less"
    if masked and counts["hardly_trained"]:
        yield f"{_share(counts['hardly_trained'], rows)} are trained on a single token, such as the end of an empty answer"
    most = max(labels or {}, key=lambda label: labels[label] if labels else 0, default=None)
    if labels and most is not None and labels[most] > MOST_OF_A_LABEL * sum(labels.values()):
        yield f"the label `{most}` is that of {_share(labels[most], sum(labels.values()))}: always saying so would look like success"


def _share(some: int, rows: int) -> str:
    return f"{some:,} of {rows:,} rows ({some / rows:.2%})"
