"""Mean cross-entropy of the reference, in nats a target token, and its perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from polar_tools.errors import DataError
from polar_tools.metrics import base
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = True
SHARE = False


class Options(base.Options):
    """No options."""

    name: Literal["loss"] = "loss"


def compute(predictions: Sequence[Prediction], options: Options) -> dict[str, float]:
    """`loss` over all target tokens alike, and `perplexity`, its exponential."""
    losses = [row.loss for row in predictions if row.loss is not None]
    if len(losses) < len(predictions):
        raise DataError(f"metric `loss`: {len(predictions) - len(losses)} of {len(predictions)} rows have no loss: this method gives none")
    loss = math.fsum(losses) / sum(row.tokens for row in predictions)
    if not math.isfinite(loss):
        raise DataError("metric `loss`: the model's loss is not finite on this data")
    return {"loss": loss, "perplexity": math.exp(loss)}
