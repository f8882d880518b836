"""Where the right document stands among those that a query finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import PositiveInt

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """How far people look."""

    name: Literal["retrieval"] = "retrieval"
    k: PositiveInt = 10
    """Places that count; what stands behind them is not found."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row what its one right document is worth where it stands, by each figure, and that it is one."""
    ranks, k = base.figures("retrieval", predictions, "rank"), options.k
    return base.rows_of(
        [1 / rank if rank <= k else 0.0 for rank in ranks],
        [1 / math.log2(1 + rank) if rank <= k else 0.0 for rank in ranks],
        [float(rank <= 1) for rank in ranks],
        [float(rank <= k) for rank in ranks],
    )


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`mrr_at_K`, `ndcg_at_K`, `recall_at_1` and `recall_at_K`, between 0 and 1; each query has one right document."""
    k = options.k
    return base.means(sums, f"mrr_at_{k}", f"ndcg_at_{k}", "recall_at_1", f"recall_at_{k}")
