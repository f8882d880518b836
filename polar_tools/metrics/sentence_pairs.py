"""What texts that belong together can be measured by, whichever kind of rows they are.

Scores: `similarity`. Pairs and triplets: `retrieval`, `triplet_accuracy`. Labels 0 and 1: `binary`. Classes: `accuracy` and `f1` where the
model names one, or else `class_separation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Literal

from polar_tools.metrics import accuracy, base, binary, class_separation, f1, retrieval, similarity, triplet_accuracy
from polar_tools.metrics.base import Prediction

LOWER_IS_BETTER = False
SHARE = True


class Options(base.Options):
    """No options."""

    name: Literal["sentence_pairs"] = "sentence_pairs"


def chosen(predictions: Sequence[Prediction], options: Options) -> list[base.Options]:
    """Those metrics."""
    return [metric.Options() for metric in _fitting(predictions[0].figures)]


def _fitting(known: Mapping[str, float]) -> Iterator[ModuleType]:
    """The metrics for rows of which these numbers are known."""
    if "rank" in known:
        yield retrieval
        if "negative_similarity" in known:
            yield triplet_accuracy
    elif "score" in known:
        yield similarity
    elif "label" in known:
        yield binary
    elif "similarity" in known:
        yield class_separation
    else:
        yield from (accuracy, f1)
