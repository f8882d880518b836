"""Keep as many rows of each label: a seeded sample of those that have more, in the old order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from polar_tools.filters import base
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa

    Array = Any  # of numpy


class Options(base.Options):
    """The column of labels, how many rows of each, and the seed."""

    name: Literal["balance"] = "balance"
    column: str
    """Column of labels; a list of labels counts as one label."""
    rows_per_label: PositiveInt | None = None
    """Most rows of a label; where it is not given, as many as the rarest label has."""
    seed: NonNegativeInt = 0
    """Seed of the choice."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """At most so many rows of each label. A null is no label and stays: `missing` drops it."""
    import pyarrow as pa

    labels: list[Array] = []
    rows = Spool(_read(chunks, options.column, labels))
    chosen = _chosen(labels, options)
    seen = 0
    for table in rows:
        yield table.filter(pa.array(chosen[seen : seen + table.num_rows]))
        seen += table.num_rows


def _read(chunks: Iterator[pa.Table], column: str, labels: list[Array]) -> Iterator[pa.Table]:
    """The tables; the number of each row's label is put into `labels`, -1 for none."""
    import numpy as np

    known: dict[str, int] = {"None": -1}
    for table in chunks:
        base.require(table, column)
        labels.append(np.array([known.setdefault(repr(label), len(known) - 1) for label in table[column].to_pylist()], np.int32))
        yield table


def _chosen(labels: list[Array], options: Options) -> Array:
    """Whether each row stays."""
    import numpy as np

    label = np.concatenate([np.empty(0, np.int32), *labels])
    names, rows = np.unique(label[label >= 0], return_counts=True)
    most = options.rows_per_label or min(rows, default=0)
    generator = np.random.default_rng(options.seed)
    chosen: Array = label < 0
    for name in names:
        chosen[generator.permutation(np.flatnonzero(label == name))[:most]] = True
    return chosen
