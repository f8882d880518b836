"""Batches that are accumulated must train as the same rows in one batch do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.checks import base

if TYPE_CHECKING:
    from polar_tools.training.trial import Trial

TITLE = "4 batches of 1 row, accumulated, train as 1 batch of 4"
MEANS = (
    "`gradient_accumulation_steps` changes what is learnt, as where the means of batches of unlike size are averaged: look at the "
    "trainer's `compute_loss` and what it makes of `num_items_in_batch`, or set `gradient_accumulation_steps: 1`"
)
ROWS = 4


def run(trial: Trial) -> base.Outcome:
    """The gradient of the first optimizer step, both ways, on the same weights."""
    if len(trial.rows) < ROWS:
        return base.not_applicable(f"there are only {len(trial.rows)} rows")
    rows = trial.unlike(ROWS)
    single = trial.step(rows, gradient=True, per_device_train_batch_size=1, gradient_accumulation_steps=ROWS)
    whole = trial.step(rows, gradient=True, per_device_train_batch_size=ROWS)
    apart = base.difference(single.gradient, whole.gradient)
    figure = f"gradients differ by {apart:.1e} of their size; loss {single.loss:.6f} and {whole.loss:.6f}"
    return base.judged(apart <= base.tolerance(trial.config, base.GRADIENT), figure)
