"""Metrics against hand-worked examples and the libraries' own numbers."""

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


def test_rouge_of_identical_korean_texts_is_one() -> None:
    found = score("rouge", [("한국어 문장은 이렇게 씁니다", "한국어 문장은 이렇게 씁니다")])
    assert found == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0, "rougeLsum": 1.0, "rouge_sum": 4.0}


def test_rouge_worked_by_hand() -> None:
    found = score("rouge", [("서울은 큰 도시다", "서울은 아주 큰 도시다")])
    assert found["rouge1"] == pytest.approx(2 * (3 / 3) * (3 / 4) / (1 + 3 / 4))
    assert found["rouge2"] == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))


def test_rouge_never_scores_an_empty_token_list_as_zero() -> None:
    with pytest.raises(DataError, match="row 1.*tokenizer: word"):
        score("rouge", [("plain", "plain"), ("한국어", "한국어")], tokenizer="rouge-default")


def test_rouge_default_is_rouge_scores_own() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    own = RougeScorer(["rougeL"], use_stemmer=True).score("The singers were singing", "a singer sings")["rougeL"].fmeasure
    assert score("rouge", [("a singer sings", "The singers were singing")], tokenizer="rouge-default", use_stemmer=True)["rougeL"] == own


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


@pytest.mark.parametrize("name", ["rouge", "accuracy", "f1", "majority"])
def test_row_without_prediction_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match="row 1"):
        score(name, [("a", "a"), (None, "a")])


def test_row_without_loss_is_an_error() -> None:
    module = discovery.load("metrics", "loss")
    with pytest.raises(DataError, match="1 of 1"):
        measuring.figures([Prediction("", "x", "x", None, 0)], module.Options())
