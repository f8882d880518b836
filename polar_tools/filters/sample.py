"""Keep a seeded random sample of the rows, in their old order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeInt, PositiveInt

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa


class Options(base.Options):
    """How many rows, and the seed."""

    name: Literal["sample"] = "sample"
    rows: PositiveInt
    """How many rows stay; all where there are fewer."""
    seed: NonNegativeInt = 0
    """Seed of the choice."""


def apply(table: pa.Table, options: Options) -> pa.Table:
    """At most `rows` rows of `table`."""
    import numpy as np

    chosen = np.random.default_rng(options.seed).permutation(table.num_rows)[: options.rows]
    return table.take(np.sort(chosen))
