"""What every metric is given and what it gives back.

A metric file has LOWER_IS_BETTER, SHARE (its figures lie between 0 and 1, and people read them times 100), Options and
compute(predictions, options) -> figure by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from polar_tools.errors import DataError
from polar_tools.fields import Frozen


@dataclass(frozen=True)
class Prediction:
    """One evaluated row, as it stands in predictions.jsonl.

    `loss` is the summed cross-entropy of the reference in nats, `tokens` over how many targets it is summed; `figures` are further numbers
    by name, such as a reward or a similarity, of methods that give such. `row` is the first half of the SHA-256 of the test row that it is
    about, in hex, by which predictions of different models are paired. `cut` says that the text ended because it might be no longer.
    """

    input: str
    reference: str
    prediction: str | None
    loss: float | None
    tokens: int
    figures: Mapping[str, float] = field(default_factory=dict)
    row: str = ""
    cut: bool | None = None


class Options(Frozen):
    """Base of a metric's options; `name` is the metric's file."""

    name: str
    """The metric: the name of a file in polar_tools/metrics."""


def pairs(metric: str, predictions: Sequence[Prediction]) -> tuple[list[str], list[str]]:
    """The predicted and the reference texts; raises DataError where there are none to compare."""
    for number, row in enumerate(predictions):
        if row.prediction is None:
            raise DataError(f"metric `{metric}` needs predictions, but row {number} has none: this method predicts nothing for such rows")
        if not row.reference.strip():
            raise DataError(f"metric `{metric}`: the reference of row {number} is empty; drop such rows with the filter `missing`")
    return [row.prediction or "" for row in predictions], [row.reference for row in predictions]


def figures(metric: str, predictions: Sequence[Prediction], name: str) -> list[float]:
    """The figure `name` of every row; raises DataError where one has none."""
    for number, row in enumerate(predictions):
        if name not in row.figures:
            has = ", ".join(f"`{figure}`" for figure in row.figures) or "none"
            raise DataError(f"metric `{metric}` needs the figure `{name}`, but row {number} has {has}: this method gives no such number")
    return [row.figures[name] for row in predictions]


def numbers(metric: str, predictions: Sequence[Prediction], name: str) -> tuple[list[float], list[float]]:
    """The figure `name` of every row, and its reference as a number; raises DataError where one is none."""
    predicted = figures(metric, predictions, name)
    try:
        return predicted, [float(row.reference) for row in predictions]
    except ValueError as error:
        raise DataError(f"metric `{metric}` needs references that are numbers: {error}") from error


NO_LABEL = "∅"
"""How a row without any label is written."""


def written(labels: Iterable[str]) -> str:
    """Several labels as a reference or a prediction has them: a line each, in order."""
    return "\n".join(sorted(labels)) or NO_LABEL


def label_sets(texts: Iterable[str]) -> list[set[str]]:
    """The labels of each text: mostly one, or what `written` wrote."""
    return [set() if text == NO_LABEL else set(text.split("\n")) for text in texts]
