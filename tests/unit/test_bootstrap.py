"""Intervals and tests of comparisons: as often right as they say on data whose truth is known, and right where it can be worked by hand."""

from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from polar_tools import discovery, measuring
from polar_tools.comparing import bootstrap, comparison, difference, holm, mcnemar
from polar_tools.comparing.comparison import Told
from polar_tools.comparing.lots import Lot
from polar_tools.metrics.base import Prediction

DATA_SETS, SAMPLES = 300, 600
Numbers = Any


def metric(name: str) -> Any:
    return discovery.load("metrics", name).Options()


def right_or_wrong(right: Numbers) -> list[Prediction]:
    return [Prediction("", "a", "a" if one else "b", None, 0) for one in right]


def with_losses(losses: Numbers) -> list[Prediction]:
    return [Prediction("", "a", None, float(loss), 1) for loss in losses]


def told(*lots: list[list[Prediction]], name: str = "loss", samples: int = SAMPLES) -> Told:
    """How the second of two lots, each some runs, differs from the first."""
    named = [
        Lot(letter, {f"seed{number}": run for number, run in enumerate(runs)}, (metric(name),))
        for letter, runs in zip("AB", lots, strict=True)
    ]
    return comparison.compare(named, comparison.against_first("AB"), samples=samples).pairs[0].figures[name]


def covered(draw: Callable[[np.random.Generator], tuple[float, float]], truth: float) -> float:
    """In how many of the simulated data sets the interval that `draw` finds holds the truth."""
    chance = np.random.default_rng(1)
    found = [draw(chance) for _ in range(DATA_SETS)]
    return fmean(low <= truth <= high for low, high in found)


def ends(rows: list[Prediction], name: str) -> tuple[float, float]:
    low, high = bootstrap.intervals(rows, [metric(name)], SAMPLES)[name]
    return low, high


@pytest.mark.parametrize("rows", [60])
def test_an_interval_of_an_accuracy_holds_the_truth_as_often_as_it_says(rows: int) -> None:
    share = covered(lambda chance: ends(right_or_wrong(chance.random(rows) < 0.7), "accuracy"), 0.7)
    assert 0.92 <= share <= 0.98


@pytest.mark.parametrize("rows", [8, 60])
def test_an_interval_of_a_mean_holds_the_truth_as_often_as_it_says(rows: int) -> None:
    """With 8 rows the quantiles alone would hold it in 89 %."""
    share = covered(lambda chance: ends(with_losses(chance.normal(5, 2, rows)), "loss"), 5)
    assert 0.92 <= share <= 0.98


def paired(chance: np.random.Generator, shift: float, rows: int = 60) -> tuple[list[list[Prediction]], list[list[Prediction]]]:
    """Losses of two models on the same rows, some of which are hard for both."""
    hard = chance.normal(10, 3, rows)
    ones, others = hard + chance.normal(0, 1, rows), hard + shift + chance.normal(0, 1, rows)
    return [with_losses(ones)], [with_losses(others)]


def test_an_interval_of_a_difference_holds_the_truth_and_is_as_narrow_as_pairing_allows() -> None:
    widths = []

    def interval(chance: np.random.Generator) -> tuple[float, float]:
        low, high = told(*paired(chance, 0.4)).difference.interval or (0, 0)
        widths.append(high - low)
        return low, high

    assert 0.92 <= covered(interval, 0.4) <= 0.98
    assert fmean(widths) == pytest.approx(2 * 2.0 * (2 / 60) ** 0.5, rel=0.05), "unpaired it would be three times as wide"


def test_where_there_is_no_difference_one_is_told_in_a_twentieth_of_all_cases() -> None:
    chance = np.random.default_rng(2)
    found = [told(*paired(chance, 0)).difference for _ in range(DATA_SETS)]
    assert 0.02 <= fmean(one.p < 0.05 for one in found if one.p is not None) <= 0.08
    assert all(
        (one.p < 0.05) == (one.interval[0] > 0 or one.interval[1] < 0)
        for one in found
        if one.p and one.interval and not 0.045 < one.p < 0.055
    )


def test_the_difference_that_is_said_to_be_detectable_is_told_in_four_of_five_cases() -> None:
    chance = np.random.default_rng(3)
    detectable = fmean(told(*paired(chance, 0)).difference.detectable or 0 for _ in range(50))
    found = [told(*paired(chance, detectable)).verdict for _ in range(DATA_SETS)]
    assert 0.75 <= fmean(verdict == "worse" for verdict in found) <= 0.85
    assert detectable == pytest.approx((1.96 + 0.84) * (2 / 60) ** 0.5, rel=0.05)


@pytest.mark.parametrize("seeds", [2, 4])
def test_with_several_seeds_the_interval_is_about_the_next_seed_too(seeds: int) -> None:
    """Two recipes that are equally good, whose trainings differ by luck."""

    def interval(chance: np.random.Generator) -> tuple[float, float]:
        hard = chance.normal(10, 3, 60)
        lots = [[with_losses(hard + luck + chance.normal(0, 1, 60)) for luck in chance.normal(0, 0.5, seeds)] for _ in "AB"]
        return told(*lots, samples=300).difference.interval or (1, 0)

    assert 0.92 <= covered(interval, 0) <= 0.99


def test_seeds_count_as_much_as_there_are_of_them() -> None:
    values = [0.1, 0.4, 0.7]
    figures = {f"seed{number}": bootstrap.Figure(metric("loss"), value, np.full(200_000, value)) for number, value in enumerate(values)}
    found = difference.drawn(figures, seed=0)
    assert found.value == pytest.approx(0.4)
    assert np.var(found.values) == pytest.approx(np.var(values, ddof=1) / 3, rel=0.01)


def test_same_seed_same_interval_and_the_draws_are_those_of_the_rows() -> None:
    rows = with_losses(np.random.default_rng(4).normal(5, 2, 50))
    loss = [metric("loss")]
    assert bootstrap.intervals(rows, loss) == bootstrap.intervals(rows, loss) != bootstrap.intervals(rows, loss, seed=1)
    (found,) = bootstrap.drawn([measuring.counted(rows, loss)], 4, 7)
    draws = np.random.default_rng(7).integers(0, 50, (4, 50))
    assert found["loss"].drawn == pytest.approx([fmean(rows[place].loss or 0 for place in draw) for draw in draws])


def test_a_metric_that_is_no_sum_is_computed_less_often_over_many_rows_and_that_is_said() -> None:
    chance = np.random.default_rng(5)
    rows = [
        Prediction("", "", None, chance.random(), 1, {"label": float(number % 2), "similarity": chance.random()}) for number in range(50)
    ]
    found = bootstrap.recorded(measuring.counted(rows, [metric("binary"), metric("loss")]), samples=600, most_rows=50 * 150)
    assert found["resampling"]["fewer"] == {"average_precision": 150, "best_accuracy": 150}
    low, high = found["intervals"]["average_precision"]
    assert low < 0.5 < high
    assert found["intervals"]["loss"] == bootstrap.intervals(rows, [metric("loss")], 600)["loss"]


def test_draws_that_have_no_such_figure_are_counted() -> None:
    rows = [
        Prediction("", "", None, None, 0, {"label": label, "similarity": alike}) for label, alike in ((1.0, 0.9), (0.0, 0.1), (0.0, 0.2))
    ]
    found = bootstrap.recorded(measuring.counted(rows, [metric("binary")]), samples=600)
    undefined = found["resampling"]["undefined"]["average_precision"]
    assert undefined / 600 == pytest.approx((2 / 3) ** 3 + (1 / 3) ** 3, abs=0.06)
    assert found["intervals"]["average_precision"] == [1.0, 1.0]


def test_identical_predictions_differ_by_nothing() -> None:
    rows = with_losses([1.0, 2.0, 5.0])
    found = told([rows], [rows])
    assert found.difference.interval == (0, 0)
    assert (found.difference.p, found.p_holm, found.difference.detectable, found.verdict) == (1, 1, None, "not distinguishable")


def test_all_rows_right_is_no_proof_that_all_would_be() -> None:
    """The exact interval of 40 of 40: 0.025 to the power of 1/40."""
    low, high = ends(right_or_wrong([1] * 40), "accuracy")
    assert (low, high) == (pytest.approx(stats.binomtest(40, 40).proportion_ci().low, rel=1e-5), 1)
    assert ends(right_or_wrong([0] * 40), "accuracy") == (0, pytest.approx(1 - low, rel=1e-4))


def test_a_single_row_has_no_interval() -> None:
    found = told([with_losses([1.0])], [with_losses([2.0])])
    assert (found.difference.value, found.difference.interval, found.difference.p, found.verdict) == (1, None, None, "unknown")
    assert bootstrap.intervals(with_losses([1.0]), [metric("loss")]) == {}
    alone = told([right_or_wrong([1])], [right_or_wrong([0])], name="accuracy")
    assert (alone.difference.p, alone.difference.mcnemar) == (None, None)


@pytest.mark.parametrize(("lost", "won", "p"), [(1, 7, 2 * (1 + 8) / 2**8), (0, 6, 2 / 2**6), (3, 3, 1), (0, 0, 1)])
def test_mcnemar_by_hand(lost: int, won: int, p: float) -> None:
    both = np.array([1] * 5 + [0] * 4)
    found = mcnemar.test(np.r_[both, [1] * lost, [0] * won], np.r_[both, [0] * lost, [1] * won])
    assert (found.only_baseline, found.only_other, found.form) == (lost, won, "exact")
    assert found.p == pytest.approx(p)
    assert found.p == pytest.approx(stats.binomtest(won, lost + won).pvalue if lost + won else 1)


def test_mcnemar_of_many_rows_is_mid_p() -> None:
    found = mcnemar.test(np.r_[[1] * 30, [0] * 50], np.r_[[0] * 30, [1] * 50])
    assert found.form == "mid-p"
    assert found.p == pytest.approx(stats.binomtest(50, 80).pvalue - stats.binom.pmf(30, 80, 0.5))


@pytest.mark.parametrize(("name", "there"), [("accuracy", True), ("f1", False), ("loss", False)])
def test_mcnemar_is_for_figures_that_are_means_of_right_and_wrong(name: str, there: bool) -> None:
    chance = np.random.default_rng(6)
    rows = [
        [Prediction("", "a" if number % 3 else "b", "a" if chance.random() < 0.7 else "b", chance.random(), 3) for number in range(40)]
        for _ in "AB"
    ]
    found = comparison.compare(
        [Lot(n, {"s": one}, (metric(name),)) for n, one in zip("AB", rows, strict=True)], comparison.against_first("AB")
    )
    assert {figure: one.difference.mcnemar is not None for figure, one in found.pairs[0].figures.items()} == dict.fromkeys(
        found.kinds, there
    )


def test_holm_by_hand() -> None:
    """Of 4: 0.01 x 4, 0.02 x 3, then 0.03 x 2 which may not be below what came before, 0.2 x 1."""
    assert holm.adjusted([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm.adjusted([0.9, 0.8]) == [1, 1]
    assert holm.adjusted([]) == []


def test_holm_counts_the_pairs_of_one_question() -> None:
    chance = np.random.default_rng(7)
    hard = chance.normal(10, 1, 40)
    lots = [
        Lot(name, {"s": with_losses(hard + shift + chance.normal(0, 1, 40))}, (metric("loss"),))
        for name, shift in (("A", 0), ("B", 0.4), ("C", 2))
    ]
    found = comparison.compare(lots, [[("A", "B"), ("A", "C")], [("B", "C")]], samples=SAMPLES)
    one, two, alone = (pair.figures["loss"] for pair in found.pairs)
    assert (one.of, two.of, alone.of) == (2, 2, 1)
    assert alone.p_holm == alone.difference.p
    smaller, larger = sorted((one, two), key=lambda told: told.difference.p or 0)
    assert smaller.p_holm == pytest.approx(2 * (smaller.difference.p or 0))
    assert larger.p_holm == pytest.approx(max(larger.difference.p or 0, smaller.p_holm or 0))


def test_figures_that_only_share_their_name_are_not_compared() -> None:
    rows = [Prediction("", "a cat", "a dog", None, 0), Prediction("", "b", "b", None, 0)]
    rouge = discovery.load("metrics", "rouge")
    ways = [rouge.Options(), rouge.Options(tokenizer="char")]
    found = comparison.compare(
        [Lot(name, {"s": rows}, (way,)) for name, way in zip("AB", ways, strict=True)], comparison.against_first("AB")
    )
    assert found.pairs[0].figures == {}
    assert "two ways" in found.missing["A and B: rouge1"] and "'char'" in found.missing["A and B: rouge1"]
