"""What a text classifier is taught: one label a text, several, or a number. What of it depends on which of these stands here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError, RowError
from polar_tools.metrics import base as metrics

if TYPE_CHECKING:
    import torch

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"
SHOWN = 10
"""Labels that a message names."""


def learned(problem_type: str, values: Iterable[Any], num_labels: int | None) -> dict[str, Any]:
    """What the model's configuration must know of the training rows' `values`: which labels there are, and in which order.

    Whole numbers are in order, and under `num_labels` those from 0 on; words are sorted. Raises DataError for labels that aren't as they
    must be.
    """
    if problem_type == REGRESSION:
        for value in values:
            number(value)
        return {"problem_type": REGRESSION, "num_labels": 1}
    counts = Counter(label for value in values for label in _labels(problem_type, value))
    labels = _ordered(counts, num_labels)
    if len(labels) < 2:
        raise DataError(f"classification needs at least two labels; the training rows have {labels}")
    return {
        "problem_type": problem_type,
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
    }


def _ordered(counts: Counter[str], wanted: int | None) -> list[str]:
    whole = all(label.isascii() and label.isdigit() for label in counts)
    labels = sorted(counts, key=int) if whole else sorted(counts)
    if wanted is None:
        return labels
    if whole and (outside := [label for label in labels if int(label) >= wanted]):
        raise DataError(f"num_labels: {wanted} means the labels 0 to {wanted - 1}, but the training rows have {_some(outside, counts)} too")
    if not whole and len(labels) > wanted:
        rare = [label for label, _ in counts.most_common()[wanted:]]
        raise DataError(
            f"num_labels: {wanted}, but the training rows have {len(labels)} labels; the rarest are {_some(rare, counts)}; "
            "the filter `values` drops rows by label"
        )
    if not whole and len(labels) < wanted:
        raise DataError(f"num_labels: {wanted}, but the training rows have only {_some(labels, counts)}")
    return [str(place) for place in range(wanted)] if whole else labels


def _some(labels: Sequence[str], counts: Counter[str]) -> str:
    told = ", ".join(f"`{label}` ({counts[label]} row{'s' if counts[label] > 1 else ''})" for label in labels[:SHOWN])
    return told + (f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else "")


def rendered(features: Mapping[str, Any], value: Any) -> list[float] | list[int]:
    """A row's value as numbers: itself, or the places of its labels; raises DataError for a label that training never saw."""
    if features["problem_type"] == REGRESSION:
        return [number(value)]
    known = features["label2id"]
    labels = _labels(features["problem_type"], value)
    if unknown := sorted(set(labels) - set(known)):
        raise DataError(f"labels {unknown} do not occur in the training rows, which have {list(known)}")
    return sorted({known[label] for label in labels})


def _labels(problem_type: str, value: Any) -> list[str]:
    if isinstance(value, list | tuple) != (problem_type == MULTI):
        has = "a list of labels" if isinstance(value, list | tuple) else f"the label {value!r}"
        raise DataError(f"problem_type {problem_type} doesn't go with {has}; `label` holds one, `labels` a list")
    return [str(label) for label in value] if problem_type == MULTI else [str(value)]


def number(value: Any) -> float:
    """A value to predict; raises DataError for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"problem_type regression needs numbers, but a `label` is {value!r}") from error


@dataclass(frozen=True)
class Answer:
    """What a model says of a row."""

    reference: str
    prediction: str
    loss: float
    figures: Mapping[str, float]


def target(features: Mapping[str, Any], value: Sequence[float]) -> int | float | list[float]:
    """A row's rendered value as a loss takes it: the place of its label, its number, or 1 at the places of its labels and else 0."""
    if features["problem_type"] == MULTI:
        there = {int(place) for place in value}
        return [float(place in there) for place in range(features["num_labels"])]
    return float(value[0]) if features["problem_type"] == REGRESSION else int(value[0])


def losses(problem_type: str, outputs: torch.Tensor, wanted: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Losses from a head's `outputs` [rows, labels]: cross-entropy [rows], its binary kind [rows, labels], or squared errors [rows]."""
    from torch.nn import functional

    if problem_type == MULTI:
        return functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
    if problem_type == REGRESSION:
        return (outputs[:, 0] - wanted) ** 2
    return functional.cross_entropy(outputs, wanted, reduction="none", label_smoothing=label_smoothing)


def mean_loss(
    problem_type: str, label_smoothing: float, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """The mean of `losses` over a whole (accumulated) batch, for transformers' `compute_loss_func` once the first two are bound."""
    total = losses(problem_type, outputs.logits.float(), labels, label_smoothing).sum()
    return total / (labels.numel() if num_items_in_batch is None else num_items_in_batch)


def answers(features: Mapping[str, Any], outputs: torch.Tensor, values: Sequence[Sequence[float]]) -> list[Answer]:
    """What a head's `outputs` [rows, labels] mean, beside the rendered values; of labels the figure `confidence`, the answer's probability.

    Raises RowError for outputs that aren't finite.
    """
    import torch

    kind, names = features["problem_type"], features.get("id2label", {})
    broken = (~outputs.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
    if broken:
        raise RowError(broken[0], f"the model gives no finite numbers for it, and so for {len(broken)} of {len(outputs)} rows")
    wanted = torch.tensor([target(features, value) for value in values])
    lost = losses(kind, outputs, wanted).reshape(len(values), -1).sum(1).tolist()
    if kind == REGRESSION:
        scores = outputs[:, 0].tolist()
        return [
            Answer(f"{value[0]:g}", f"{score:g}", loss, {"score": score}) for value, score, loss in zip(values, scores, lost, strict=True)
        ]
    if kind == MULTI:
        found = [(row > 0).nonzero().flatten().tolist() for row in outputs]
        sure = (
            torch.nn.functional.logsigmoid(outputs.abs()).sum(1).exp().tolist()
        )  # that each of its labels is right, were they independent
    else:
        found = [[best] for best in outputs.argmax(1).tolist()]
        sure = outputs.softmax(1).amax(1).tolist()
    return [
        Answer(_named(names, value), _named(names, said), loss, {"confidence": confidence})
        for value, said, loss, confidence in zip(values, found, lost, sure, strict=True)
    ]


def _named(names: Mapping[int, str], places: Iterable[float]) -> str:
    return metrics.written(names[int(place)] for place in places)
