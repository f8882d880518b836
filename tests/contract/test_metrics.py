"""What holds of every metric: sums of rows are its figures, no order counts, and what is the same is the best there is."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from polar_tools import discovery, measuring
from polar_tools.errors import DataError
from polar_tools.metrics.base import Options, Prediction
from tests import texts

NUMBERS = ("correlation", "regression", "r2")
"""Metrics whose references are numbers."""
LABELS = ("accuracy", "f1", "majority", "confusion", "calibration")
BEST = {"rouge_sum": 4.0}
"""Figures whose best value isn't 1."""


def rows_for(name: str) -> list[Prediction]:
    """Rows that have all that any metric needs."""
    pairs = [pair for two in zip(texts.english(), texts.korean(), strict=False) for pair in two][:60]
    chance = np.random.default_rng(0)
    figures = ("score", "similarity", "negative_similarity", "chosen_logp", "rejected_logp", "logp", "reward", "reward_length")
    rows = []
    for number, (text, reference) in enumerate(pairs):
        if name in NUMBERS:
            reference = f"{chance.normal(100):.6f}"
        elif name in LABELS:
            reference, text = (["개", "cat", "새"][chance.integers(3)] for _ in range(2))
        known = {figure: chance.normal() for figure in figures}
        known |= {"label": float(number % 2), "rank": float(chance.integers(1, 30)), "confidence": chance.random()}
        known["quiz/acc"] = float(chance.integers(2))
        known |= {"right_tokens": float(chance.integers(4)), "chosen_tokens": 1.0 + number, "rejected_tokens": 3.0}
        rows.append(Prediction("", reference, text, float(chance.random()), 1 + number % 4, known, cut=bool(number % 3)))
    return rows


def every_way(name: str) -> Iterator[Options]:
    """The options of a metric, with each tokenizer that it knows."""
    kind = discovery.load("metrics", name).Options
    if "tokenizer" not in kind.model_fields:
        yield kind(figure="quiz/acc") if name == "task" else kind()
        return
    others = ("13a", "intl", "zh", "none") if name == "bleu" else ()
    for tokenizer in (*discovery.names("segmentation"), *others):
        if tokenizer != "rouge_default":  # it knows no Korean
            yield kind(tokenizer=tokenizer)


@pytest.mark.parametrize("name", discovery.names("metrics"))
def test_figures_of_some_rows_are_sums_of_theirs(name: str) -> None:
    """Rows that were drawn, some twice, give what the sums of their parts give; also where these were taken among all rows."""
    rows, module = rows_for(name), discovery.load("metrics", name)
    draws = np.random.default_rng(1).integers(len(rows), size=(5, 40))
    for options in every_way(name):
        found = measuring.resampled(rows, options, draws)
        for place, draw in enumerate(draws):
            alone = measuring.figures([rows[number] for number in draw], options)
            assert alone == pytest.approx({figure: values[place] for figure, values in found.items()}, rel=1e-9, abs=1e-12)
        if hasattr(module, "parts"):
            parts = module.parts(rows, options)
            assert parts.shape[0] == len(rows)
            assert parts.dtype == np.float64


@pytest.mark.parametrize("name", discovery.names("metrics"))
def test_order_of_rows_does_not_matter(name: str) -> None:
    rows = rows_for(name)
    options = next(every_way(name))
    assert measuring.figures(rows, options) == pytest.approx(measuring.figures(rows[::-1], options), rel=1e-12)


@pytest.mark.parametrize("language", [texts.english, texts.korean])
@pytest.mark.parametrize("name", ["rouge", "bleu", "chrf", "exact_match", "token_f1"])
def test_the_same_text_scores_the_best(name: str, language: Any) -> None:
    same = [Prediction("", reference, reference, None, 0) for _, reference in language()]
    for options in every_way(name):
        found = measuring.figures(same, options)
        assert found == pytest.approx({figure: BEST.get(figure, 1.0) for figure in found}), options


@pytest.mark.parametrize("name", [name for name in discovery.names("metrics") if name not in ("task", "tasks")])
def test_rows_that_lack_something_are_refused(name: str) -> None:
    """All of it at once, in the last row only: no metric is taken over the others."""
    rows, options = rows_for(name), next(every_way(name))
    broken = replace(rows[-1], prediction=None, loss=None, figures={}, cut=None)
    with pytest.raises(DataError, match=f"metric `.*`.*(row {len(rows) - 1}|1 of {len(rows)} rows)"):
        measuring.measure([*rows[:-1], broken], [options])
    with pytest.raises(DataError, match="there are no rows"):
        measuring.figures([], options)


@pytest.mark.parametrize("name", ["rouge", "bleu", "chrf", "exact_match", "token_f1", "accuracy", "f1", "majority"])
def test_rows_without_a_reference_are_refused(name: str) -> None:
    rows = rows_for(name)
    with pytest.raises(DataError, match=f"the reference of row {len(rows) - 1} is empty"):
        measuring.figures([*rows[:-1], replace(rows[-1], reference=" ")], next(every_way(name)))


@pytest.mark.parametrize("name", discovery.names("metrics"))
def test_shares_lie_between_0_and_1(name: str) -> None:
    module = discovery.load("metrics", name)
    assert module.LOWER_IS_BETTER in (True, False, None)
    for figure, value in measuring.figures(rows_for(name), next(every_way(name))).items():
        assert math.isfinite(value)
        assert not module.SHARE or 0 <= value <= BEST.get(figure, 1.0), figure


def test_two_metrics_that_give_the_same_are_refused() -> None:
    rouge = discovery.load("metrics", "rouge").Options
    with pytest.raises(DataError, match="metric `rouge` gives rouge1, .*which another metric of this evaluation gave already"):
        measuring.measure(rows_for("rouge"), [rouge(), rouge(tokenizer="char")])
