"""Whether pairs of texts lie in the order of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = False


class Options(base.Options):
    """No options."""

    name: Literal["similarity"] = "similarity"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`similarity_spearman` and `similarity_pearson`, between -1 and 1, of the model's similarities and the scores."""
    from scipy.stats import pearsonr, spearmanr

    similar, scores = (base.figures("similarity", predictions, name) for name in ("similarity", "score"))
    if len(set(scores)) < 2:
        raise DataError("metric `similarity`: all scores are the same, so nothing can be in their order")
    if len(set(similar)) < 2:  # a model to which all pairs are alike puts them in no order
        return {"similarity_spearman": 0.0, "similarity_pearson": 0.0}
    return {
        "similarity_spearman": float(spearmanr(scores, similar).statistic),
        "similarity_pearson": float(pearsonr(scores, similar).statistic),
    }
