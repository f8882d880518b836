"""Metrics of labels and numbers against hand-worked examples and the libraries' own; those of texts are tested beside."""

import math
from typing import Any

import pytest

from polar_tools import discovery, measuring
from polar_tools.errors import DataError
from polar_tools.metrics.base import Prediction


def score(name: str, rows: list[tuple[str | None, str]], **options: Any) -> dict[str, float]:
    module = discovery.load("metrics", name)
    predictions = [Prediction("", reference, text, 0.5, 2) for text, reference in rows]
    numbers: dict[str, float] = measuring.figures(predictions, module.Options(**options))
    return numbers


def test_classification_numbers_worked_by_hand() -> None:
    rows: list[tuple[str | None, str]] = [("a", "a"), ("a", "a"), ("b", "a"), ("b", "b")]
    assert score("accuracy", rows) == {"accuracy": 0.75}
    assert score("f1", rows) == {"macro_f1": pytest.approx((0.8 + 2 / 3) / 2), "weighted_f1": pytest.approx((3 * 0.8 + 2 / 3) / 4)}
    constant = score("majority", rows)
    as_if: list[tuple[str | None, str]] = [("a", reference) for _, reference in rows]
    assert constant == {"majority_accuracy": 0.75, "majority_macro_f1": pytest.approx(score("f1", as_if)["macro_f1"])}


def test_f1_of_several_labels_is_sklearns() -> None:
    from sklearn.metrics import f1_score

    rows: list[tuple[str | None, str]] = [("a\nb", "a"), ("∅", "b"), ("a", "a"), ("b", "∅")]
    there, found = [[1, 0], [0, 1], [1, 0], [0, 0]], [[1, 1], [0, 0], [1, 0], [0, 1]]
    assert score("f1", rows) == {
        f"{kind}_f1": pytest.approx(f1_score(there, found, average=kind, zero_division=0)) for kind in ("macro", "weighted", "micro")
    }
    assert score("accuracy", rows) == {"accuracy": 0.25}
    assert score("majority", rows) == {"majority_accuracy": 0.5, "majority_macro_f1": pytest.approx(1 / 3)}


def sure(rows: list[tuple[str, str, float]]) -> list[Prediction]:
    return [Prediction("", reference, said, None, 1, {"confidence": confidence}) for said, reference, confidence in rows]


def test_calibration_worked_by_hand() -> None:
    # below 0.5: 0.4 and 0.5 sure, one of two right; above: 0.9 and 1.0 sure, both right
    rows = sure([("a", "a", 0.4), ("a", "b", 0.5), ("나", "나", 0.9), ("나", "나", 1.0)])
    found = measuring.measure(rows, [discovery.load("metrics", "calibration").Options(bins=2)])
    assert found["metrics"]["ece"] == pytest.approx((abs(0.9 - 1) + abs(1.9 - 2)) / 4)
    assert found["metrics"]["brier"] == pytest.approx((0.6**2 + 0.5**2 + 0.1**2) / 4)
    low, high = found["tables"]["calibration"]
    assert low == {"from": 0.0, "to": 0.5, "rows": 2, "confidence": pytest.approx(0.45), "accuracy": 0.5}
    assert high["rows"] == 2


def test_brier_score_of_two_labels_is_sklearns() -> None:
    from sklearn.metrics import brier_score_loss

    chances = [0.1, 0.35, 0.8, 0.65]
    rows = sure([("yes" if p > 0.5 else "no", there, max(p, 1 - p)) for p, there in zip(chances, ["no", "yes", "yes", "no"], strict=True)])
    found = measuring.figures(rows, discovery.load("metrics", "calibration").Options())
    assert found["brier"] == pytest.approx(brier_score_loss([0, 1, 1, 0], chances))


def test_which_labels_are_taken_for_which() -> None:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    pairs: list[tuple[str | None, str]] = [("개", "개"), ("새", "개"), ("새", "새"), ("말", "개"), ("개", "새")]
    rows = [Prediction("", reference, text, None, 1) for text, reference in pairs]
    metrics = [discovery.load("metrics", name).Options() for name in ("f1", "confusion")]
    tables = measuring.measure(rows, metrics)["tables"]
    labels = ["개", "말", "새"]
    written, there = [text for text, _ in pairs], [reference for _, reference in pairs]
    assert tables["confusion"] == {"labels": labels, "counts": confusion_matrix(there, written, labels=labels).tolist()}
    each = zip(labels, *precision_recall_fscore_support(there, written, labels=labels, zero_division=0), strict=True)
    assert tables["labels"] == [
        {"label": label, "precision": p, "recall": pytest.approx(r), "f1": pytest.approx(f), "rows": n} for label, p, r, f, n in each
    ]


def test_many_labels_stand_together() -> None:
    rows = [Prediction("", str(number % 7), str(number % 5), None, 1) for number in range(70)]
    module = discovery.load("metrics", "confusion")
    table = module.tables(rows, module.Options(most=3))["confusion"]
    assert table["labels"] == ["0", "1", "2", "…"]
    assert [sum(line) for line in table["counts"]] == [10, 10, 10, 40]
    assert module.tables([Prediction("", "a\nb", "a", None, 1)], module.Options()) == {}


def with_figures(figure: str, rows: list[tuple[float, str]]) -> list[Prediction]:
    return [Prediction("", reference, None, None, 4, {figure: value}) for value, reference in rows]


def numeric(name: str, rows: list[tuple[float, str]], given: str = "score", **options: Any) -> dict[str, float]:
    module = discovery.load("metrics", name)
    numbers: dict[str, float] = measuring.figures(with_figures(given, rows), module.Options(**options))
    return numbers


def test_numbers_beside_their_references() -> None:
    from scipy.stats import pearsonr, spearmanr

    rows = [(0.5, "1"), (2.0, "1.5"), (2.0, "4"), (9.0, "5")]
    squared = (0.25 + 0.25 + 4 + 16) / 4
    assert numeric("regression", rows) == {"mse": pytest.approx(squared), "mae": pytest.approx(7 / 4), "rmse": pytest.approx(squared**0.5)}
    ones, others = [value for value, _ in rows], [float(reference) for _, reference in rows]
    expected = {"pearson": pytest.approx(pearsonr(ones, others)[0]), "spearman": pytest.approx(spearmanr(ones, others)[0])}
    assert numeric("correlation", rows) == expected
    assert numeric("correlation", rows, "similarity", figure="similarity") == expected
    assert numeric("correlation", [(1.0, "1"), (1.0, "2")]) == {"pearson": 0.0, "spearman": 0.0}


def test_r2_is_sklearns() -> None:
    from sklearn.metrics import r2_score

    rows = [(0.5, "1000001"), (1000002.0, "1000001.5"), (1000002.0, "1000004"), (1000009.0, "1000005")]
    for some in (rows, rows[1:]):
        assert numeric("r2", some)["r2"] == pytest.approx(r2_score([float(reference) for _, reference in some], [one for one, _ in some]))
    assert numeric("r2", [(1.0, "2"), (2.0, "2")]) == {"r2": 0.0}
    assert numeric("r2", [(2.0, "2"), (2.0, "2")]) == {"r2": 1.0}


def test_token_accuracy_is_over_all_tokens() -> None:
    assert numeric("token_accuracy", [(4.0, "x"), (1.0, "y")], "right_tokens") == {"token_accuracy": 5 / 8}


def test_numbers_that_are_none() -> None:
    with pytest.raises(DataError, match="metric `regression` needs the figure `score`, but row 0 has `similarity`"):
        numeric("regression", [(1.0, "1")], "similarity")
    with pytest.raises(DataError, match="metric `correlation` needs references that are numbers: .*'good'"):
        numeric("correlation", [(1.0, "good")])


def test_loss_is_a_mean_over_tokens() -> None:
    module = discovery.load("metrics", "loss")
    rows = [Prediction("", "x", None, 3.0, 1), Prediction("", "y", None, 3.0, 5)]
    assert measuring.figures(rows, module.Options()) == {"loss": 1.0, "perplexity": pytest.approx(math.e)}


@pytest.mark.parametrize(("value", "name"), [(math.nan, "regression"), (math.inf, "r2"), (math.nan, "correlation")])
def test_what_is_no_number_is_refused(value: float, name: str) -> None:
    with pytest.raises(DataError, match="the figure `score` of row 1 is (nan|inf), which is no finite number"):
        numeric(name, [(1.0, "1"), (value, "2")])
    with pytest.raises(DataError, match="the reference of row 0 is nan"):
        numeric(name, [(1.0, "nan"), (1.0, "2")])


def test_a_loss_that_is_none_names_its_row() -> None:
    rows = [Prediction("", "x", None, 1.0, 1), Prediction("", "x", None, math.nan, 1)]
    with pytest.raises(DataError, match="not finite on 1 of 2 rows, first on row 1"):
        measuring.figures(rows, discovery.load("metrics", "loss").Options())


@pytest.mark.parametrize("name", ["rouge", "accuracy", "f1", "majority"])
def test_row_without_prediction_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match="row 1"):
        score(name, [("a", "a"), (None, "a")])


def test_row_without_loss_is_an_error() -> None:
    module = discovery.load("metrics", "loss")
    with pytest.raises(DataError, match="1 of 1"):
        measuring.figures([Prediction("", "x", "x", None, 0)], module.Options())
