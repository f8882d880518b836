"""By how much chosen answers are ahead of rejected ones in the mean: in rewards, or in nats of log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

LOWER_IS_BETTER = False
SHARE = False
ANSWERS = ("chosen", "rejected")


class Options(base.Options):
    """No options."""

    name: Literal["margin"] = "margin"


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row by how much it is ahead, as such and in the mean over tokens where answers have lengths, and that it is one."""
    return base.rows_of(*margins("margin", predictions).values())


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`margin`, and `margin_per_token` where answers have lengths."""
    return base.means(sums, *("margin", "margin_per_token")[: sums.shape[-1] - 1])


def margins(metric: str, predictions: Sequence[Prediction]) -> dict[str, list[float]]:
    """By how much each chosen answer is ahead of the rejected one: as such (""), and, of log-probabilities, in the mean ("_per_token").

    Raises DataError for rows without such figures.
    """
    if predictions and "chosen_logp" not in predictions[0].figures:
        return {"": _differences(*(base.figures(metric, predictions, name) for name in ANSWERS))}
    sums = [base.figures(metric, predictions, f"{name}_logp") for name in ANSWERS]
    lengths = [base.figures(metric, predictions, f"{name}_tokens") for name in ANSWERS]
    means = [[total / size for total, size in zip(*pair, strict=True)] for pair in zip(sums, lengths, strict=True)]
    return {"": _differences(*sums), "_per_token": _differences(*means)}


def _differences(chosen: Sequence[float], rejected: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(chosen, rejected, strict=True)]
