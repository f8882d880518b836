"""What every metric is given and what it gives back.

A metric file has LOWER_IS_BETTER (None where a figure only describes), SHARE (its figures lie between 0 and 1, and people read them times
100), Options, and one of these three:

- parts(predictions, options) -> float64 [rows, k], what each row adds to the sums that the figures are made of (an array of numpy, or
  a sparse one of scipy where k grows with the data), and whole(sums, options) -> figure by name, each as an array [...] for sums [..., k].
  So figures over any rows cost no more than a sum, which is how their confidence intervals are found.
- compute(predictions, options) -> figure by name, for what is no sum.
- chosen(predictions, options) -> the options of other metrics, for which it only stands.

Besides these it may have tables(predictions, options) -> what is more than a number, by name, and signature(options) -> what another
person must know to get the same figures.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.fields import Frozen
from polar_tools.segmentation import base as segmentation

Array = Any
"""Of numpy, which isn't imported here: `polar-tools check` reads this file too."""


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


Lines = list[segmentation.Tokens]
"""The tokens of a text, line by line."""
Tokenizer = Annotated[str, discovery.NameOf("segmentation"), AfterValidator(lambda name: name.replace("_", "-"))]
"""A field that says how texts are cut into tokens: the name of a file in polar_tools/segmentation."""


def texts(metric: str, predictions: Sequence[Prediction]) -> list[str]:
    """What was predicted of each row; raises DataError where nothing was."""
    for number, row in enumerate(predictions):
        if row.prediction is None:
            raise DataError(f"metric `{metric}` needs predictions, but row {number} has none: this method predicts nothing for such rows")
    return [row.prediction or "" for row in predictions]


def pairs(metric: str, predictions: Sequence[Prediction]) -> tuple[list[str], list[str]]:
    """The predicted and the reference texts; raises DataError where there are none to compare."""
    predicted = texts(metric, predictions)
    for number, row in enumerate(predictions):
        if not row.reference.strip():
            raise DataError(f"metric `{metric}`: the reference of row {number} is empty; drop such rows with the filter `missing`")
    return predicted, [row.reference for row in predictions]


def tokenizer_named(name: str) -> ModuleType:
    """The file in polar_tools/segmentation, of which `tokens` cuts texts."""
    return discovery.load("segmentation", name.replace("-", "_"))


def tokens(metric: str, predictions: Sequence[Prediction], tokenizer: str) -> tuple[list[Lines], list[Lines]]:
    """The tokens of each line of the predicted and of the reference texts.

    Raises DataError where a reference has no token, and where a prediction has words of which this tokenizer leaves none: such a row would
    score zero whatever was written. A prediction without any word is as it is.
    """
    cut = tokenizer_named(tokenizer).tokens
    written, wanted = (segmentation.by_line(cut, each) for each in pairs(metric, predictions))
    for number, (row, text, reference) in enumerate(zip(predictions, written, wanted, strict=True)):
        said = row.prediction or ""
        if not any(reference) or (segmentation.has_words(said) and not any(text)):
            which, words = ("prediction", said) if any(reference) else ("reference", row.reference)
            raise DataError(
                f"{metric}: the {which} of row {number} ({words[:40]!r}) has no token for the tokenizer `{tokenizer}`; {_other(words)}"
            )
    return written, wanted


def joined(lines: Iterable[Lines]) -> list[list[str]]:
    """The tokens of each text without its lines."""
    return [list(chain.from_iterable(text)) for text in lines]


def _other(text: str) -> str:
    """What to do about a text without tokens."""
    return "texts outside a-z need `tokenizer: word`" if segmentation.has_words(text) else "`tokenizer: char` counts every character"


def tokenizer_signature(tokenizer: str) -> str:
    """A tokenizer with the versions that its tokens depend on, as sacrebleu writes such."""
    libraries = tokenizer_named(tokenizer).LIBRARIES
    return "|".join([f"tok:{tokenizer}", *(f"{library}:{version(library)}" for library in libraries)])


def figures(metric: str, predictions: Sequence[Prediction], name: str) -> list[float]:
    """The figure `name` of every row; raises DataError where one has none, or one that is no finite number."""
    for number, row in enumerate(predictions):
        if name not in row.figures:
            has = ", ".join(f"`{figure}`" for figure in row.figures) or "none"
            raise DataError(f"metric `{metric}` needs the figure `{name}`, but row {number} has {has}: this method gives no such number")
        if not math.isfinite(row.figures[name]):
            raise DataError(f"metric `{metric}`: the figure `{name}` of row {number} is {row.figures[name]}, which is no finite number")
    return [row.figures[name] for row in predictions]


def numbers(metric: str, predictions: Sequence[Prediction], name: str) -> tuple[list[float], list[float]]:
    """The figure `name` of every row, and its reference as a number; raises DataError where one is none."""
    predicted = figures(metric, predictions, name)
    try:
        references = [float(row.reference) for row in predictions]
    except ValueError as error:
        raise DataError(f"metric `{metric}` needs references that are numbers: {error}") from error
    for number, reference in enumerate(references):
        if not math.isfinite(reference):
            raise DataError(f"metric `{metric}`: the reference of row {number} is {reference}; the filter `missing` drops such rows")
    return predicted, references


def rows_of(*columns: Sequence[float]) -> Array:
    """`columns`, and behind them one of ones: float64 [rows, columns + 1], of which `means` are made."""
    import numpy as np

    return np.column_stack([*columns, np.ones(len(columns[0]))]).astype(np.float64)


def means(sums: Array, *names: str) -> dict[str, Array]:
    """The mean of each of the columns that `rows_of` was given, by name."""
    return {name: sums[..., place] / sums[..., -1] for place, name in enumerate(names)}


NO_LABEL = "∅"
"""How a row without any label is written."""


def written(labels: Iterable[str]) -> str:
    """Several labels as a reference or a prediction has them: a line each, in order."""
    return "\n".join(sorted(labels)) or NO_LABEL


def label_sets(texts: Iterable[str]) -> list[set[str]]:
    """The labels of each text: mostly one, or what `written` wrote."""
    return [set() if text == NO_LABEL else set(text.split("\n")) for text in texts]
