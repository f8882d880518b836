"""Mean cross-entropy of the reference, in nats a target token, and its perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = True
SHARE = False


class Options(base.Options):
    """No options."""

    name: Literal["loss"] = "loss"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row its summed loss in nats and its target tokens; raises DataError for rows without a finite loss."""
    import numpy as np

    losses = [row.loss for row in predictions if row.loss is not None]
    if len(losses) < len(predictions):
        raise DataError(f"metric `loss`: {len(predictions) - len(losses)} of {len(predictions)} rows have no loss: this method gives none")
    broken = [number for number, loss in enumerate(losses) if not math.isfinite(loss)]
    if broken:
        raise DataError(f"metric `loss`: the model's loss is not finite on {len(broken)} of {len(losses)} rows, first on row {broken[0]}")
    if not any(row.tokens for row in predictions):
        raise DataError("metric `loss`: no row has a target token")
    return np.array([losses, [row.tokens for row in predictions]], dtype=np.float64).T


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`loss` over all target tokens alike, and `perplexity`, its exponential."""
    import numpy as np

    loss = sums[..., 0] / sums[..., 1]
    return {"loss": loss, "perplexity": np.exp(loss)}
