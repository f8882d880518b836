"""What is saved must be what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.checks import base

if TYPE_CHECKING:
    from polar_tools.metrics.base import Prediction
    from polar_tools.training.trial import Trial

TITLE = "the saved model gives the same outputs"
MEANS = (
    "a part of what is trained is not saved, or not loaded again, such as a new head or an adapter: look at `modules_to_save` and at "
    "the warnings that loading prints"
)


def run(trial: Trial) -> base.Outcome:
    """Outputs of the model in memory, and of what train's code writes and evaluate's reads, both as evaluate makes them."""
    if trial.config.quantization:
        return base.not_applicable("the base is in few bits while it is trained, and evaluated as it was")
    before, after = trial.predicted, trial.loaded()
    apart = base.difference(dict(enumerate(after.received.outputs)), dict(enumerate(before.received.outputs)))
    pairs = list(zip(_figures(before.predictions), _figures(after.predictions), strict=True))
    wide = max((abs(one - other) / max(abs(one), abs(other), 1.0) for one, other in pairs), default=0.0)
    figure = f"outputs differ by {apart:.1e} of their size, what evaluate makes of them by {wide:.1e}"
    return base.judged(max(apart, wide) <= base.tolerance(trial.config, base.OUTPUT), figure)


def _figures(predictions: list[Prediction]) -> list[float]:
    """Every number that stands in predictions."""
    return [number for row in predictions for number in (row.loss, *row.figures.values()) if number is not None]
