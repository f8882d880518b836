"""Where the right document stands among those that a query finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from pydantic import PositiveInt

from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """How far people look."""

    name: Literal["retrieval"] = "retrieval"
    k: PositiveInt = 10
    """Places that count; what stands behind them is not found."""


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`mrr_at_K`, `ndcg_at_K`, `recall_at_1` and `recall_at_K`, between 0 and 1; each query has one right document."""
    ranks, k = base.figures("retrieval", predictions, "rank"), options.k
    return {
        f"mrr_at_{k}": fmean(1 / rank if rank <= k else 0.0 for rank in ranks),
        f"ndcg_at_{k}": fmean(1 / math.log2(1 + rank) if rank <= k else 0.0 for rank in ranks),
        "recall_at_1": fmean(float(rank <= 1) for rank in ranks),
        f"recall_at_{k}": fmean(float(rank <= k) for rank in ranks),
    }
