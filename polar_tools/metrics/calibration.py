"""Whether a classifier is right as often as it says: expected calibration error (Guo et al. 2017) and Brier score of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import PositiveInt

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = True
SHARE = True


class Options(base.Options):
    """How answers are put together."""

    name: Literal["calibration"] = "calibration"
    bins: PositiveInt = 15
    """Bins of equal width between 0 and 1, by how sure the model is; in each the confidence is compared with the share that is right."""


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row and each bin whether it lies there, its confidence and whether it is right; then its squared error, and that it is one.

    Raises DataError for rows without a confidence: methods that classify give one.
    """
    import numpy as np

    predicted, references = base.pairs("calibration", predictions)
    sure = np.array(base.figures("calibration", predictions, "confidence"))
    right = np.array([float(one == other) for one, other in zip(predicted, references, strict=True)])
    bins = np.clip(np.ceil(sure * options.bins).astype(int) - 1, 0, options.bins - 1)
    binned = np.zeros((len(sure), 3, options.bins))
    binned[np.arange(len(sure)), :, bins] = np.stack([np.ones(len(sure)), sure, right], axis=1)
    return base.rows_of(*binned.reshape(len(sure), -1).T, (sure - right) ** 2)


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`ece`, the mean difference of confidence and share that is right, and `brier`, of the answer given; between 0 and 1, 0 is best."""
    import numpy as np

    binned = sums[..., :-2].reshape(*sums.shape[:-1], 3, options.bins)
    apart = np.abs(binned[..., 1, :] - binned[..., 2, :]).sum(-1)
    return {"ece": apart / sums[..., -1], "brier": sums[..., -2] / sums[..., -1]}


def tables(predictions: Sequence[Prediction], options: Options) -> dict[str, Any]:
    """`calibration`: of each bin where it begins and ends, its rows, and their mean confidence and accuracy; empty bins are left out."""
    counts = parts(predictions, options).sum(axis=0)[:-2].reshape(3, options.bins).T.tolist()
    return {
        "calibration": [
            {"from": place / options.bins, "to": (place + 1) / options.bins, "rows": int(n), "confidence": sure / n, "accuracy": right / n}
            for place, (n, sure, right) in enumerate(counts)
            if n
        ]
    }
