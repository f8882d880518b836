"""The model must read a row while it is trained as it reads it when it is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools import modeling
from polar_tools.checks import base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polar_tools.training.trial import Trial

TITLE = "training and evaluate send the model the same token ids"
MEANS = (
    "rows become other tokens in evaluate than they were in training, so that what is measured is not what was learnt: look at the "
    "tokenizer (did it change since `tokenize`?), the chat template, special tokens at both ends, and padding"
)
SHOWN = 6
"""Tokens that are shown from the first that differs on."""


def run(trial: Trial) -> base.Outcome:
    """All sequences that the model is given, both ways: what evaluate sends is what training does, or its beginning, a prompt.

    Training may send more: what it sets against the rows, as kto does with answers to other prompts.
    """
    trained, sent = trial.plain.received.sequences, trial.predicted.received.sequences
    strange = [ids for ids in sent if not any(_begins(one, ids) for one in trained)]
    missing = [ids for ids in trained if not any(_begins(ids, one) for one in sent)]
    if not strange and len(trained) - len(missing) >= len(trial.rows):
        return base.judged(True, f"{len(trained)} sequences of training, {len(sent)} of evaluate")
    tokenizer = modeling.tokenizer_of(modeling.load_processor(trial.spec.tokenizer, trial.method, trial.config))
    one, other = _nearest(strange, trained)[::-1] if strange else _nearest(missing, sent)
    place = _common(one, other)
    told = [repr(tokenizer.decode(ids[place : place + SHOWN])) for ids in (one, other)]
    return base.judged(False, f"from token {place + 1} on, training has {told[0]} where evaluate has {told[1]}")


def _begins(ids: Sequence[int], prompt: Sequence[int]) -> bool:
    return bool(prompt) and ids[: len(prompt)] == prompt


def _nearest(rows: list[list[int]], others: list[list[int]]) -> tuple[list[int], list[int]]:
    """The first of `rows`, if there is one, and what of `others` begins like it for longest."""
    first = next(iter(rows), [])
    return first, max(others, key=lambda other: _common(first, other), default=[])


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (mine, its) in enumerate(pairs) if mine != its), min(len(one), len(other)))
