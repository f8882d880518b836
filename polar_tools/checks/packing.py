"""Rows that are packed together must train as they do alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.checks import base

if TYPE_CHECKING:
    from polar_tools.training.trial import Trial

TITLE = "packed loss equals unpacked loss"
MEANS = (
    "rows that are packed together see each other, or are trained on where one ends and the next begins: look at `packing`, "
    "`packing_strategy` and `attn_implementation`, or leave `packing` out"
)


def run(trial: Trial) -> base.Outcome:
    """The loss of all rows, packed and one by one, on the same weights."""
    told = trial.config.model_dump(include={"packing", "packing_strategy"})
    if not told.get("packing"):
        return base.not_applicable("`packing` is off")
    if told.get("packing_strategy") == "wrapped":
        return base.not_applicable("`packing_strategy: wrapped` is meant to let rows see each other")
    packed, plain = trial.step(packing=True), trial.plain
    figure = f"loss {packed.loss:.6f} packed, {plain.loss:.6f} not"
    return base.judged(abs(packed.loss - plain.loss) <= base.tolerance(trial.config, base.LOSS) * abs(plain.loss), figure)
