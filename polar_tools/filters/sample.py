"""Keep a seeded random sample of the rows, in their old order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from polar_tools.filters import base
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """How many rows, and the seed."""

    name: Literal["sample"] = "sample"
    rows: PositiveInt
    """How many rows stay; all where there are fewer."""
    seed: NonNegativeInt = 0
    """Seed of the choice."""


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """At most `rows` rows. All are counted before the first is chosen."""
    import numpy as np

    rows = Spool(chunks)
    chosen: Any = np.zeros(rows.rows, dtype=bool)
    chosen[np.random.default_rng(options.seed).permutation(rows.rows)[: options.rows]] = True
    seen = 0
    for table in rows:
        yield table.filter(chosen[seen : seen + table.num_rows])
        seen += table.num_rows
