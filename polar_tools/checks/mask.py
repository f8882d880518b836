"""Some of a row is trained on, and not all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from polar_tools.checks import base
from polar_tools.marks import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polar_tools.training.trial import Trial

TITLE = "labels are neither all masked nor all kept"
MEANS = (
    "the loss is taken where it shouldn't be, or nowhere: a model then learns to ask its own questions, or nothing, or never to stop. Look "
    "at the rows in `tokenize`'s report.html, at `max_length`, and whether the pad token is also the end-of-text token"
)
MASKS: dict[str, Callable[[Any], Any]] = {"labels": lambda tensor: tensor.ne(IGNORED), "completion_mask": lambda tensor: tensor.bool()}
"""What in a batch says which tokens are trained on, by how its name ends."""


class Row(NamedTuple):
    """How many of a row's tokens are trained on; `prompted` says whether some of them must not be."""

    trained: int
    tokens: int
    prompted: bool


def run(trial: Trial) -> base.Outcome:
    """The labels of all rows, as the trainer's collator makes them."""
    batches, rendered = trial.plain.batches, trial.labelled()
    rows = [row for batch in batches for row in _rows(batch, trial.columns != ("text",))]
    if not rows:
        return base.judged(False, "the trainer's batches have neither labels nor a mask")
    trained = sum(row.trained for row in rows)
    figure = f"{trained} of {sum(row.tokens for row in rows)} tokens are trained on, at least {min(row.trained for row in rows)} a row"
    if all("labels" in batch for batch in batches) and rendered not in (None, trained):
        return base.judged(False, f"{figure}; as `tokenize` has made the rows it would be {rendered}")
    all_kept = all(row.prompted and row.trained >= row.tokens - 1 for row in rows)
    return base.judged(all(row.trained for row in rows) and not all_kept, figure)


def _rows(batch: dict[str, Any], prompted: bool) -> list[Row]:
    """The rows of a batch. Labels of another shape than the ids are a text of their own, which has no prompt."""
    found = []
    for name, tensor in batch.items():
        for ending, trained_on in MASKS.items():
            if name.endswith(ending) and tensor.ndim > 1:
                trained, mask = trained_on(tensor), batch.get(name.removesuffix(ending) + "attention_mask")
                places = batch.get(name.removesuffix(ending) + "position_ids")
                if mask is None and places is not None and places.shape == trained.shape:
                    found += [Row(int(one.sum()), len(one), prompted) for one in _behind_each_other(trained, places)]
                    continue
                beside = mask is not None and mask.shape == trained.shape
                tokens = mask.sum(1) if mask is not None and beside else trained.sum(1)
                found += [Row(int(one), int(every), prompted and beside) for one, every in zip(trained.sum(1), tokens, strict=True)]
    return found


def _behind_each_other(trained: Any, places: Any) -> Iterator[Any]:
    """What is trained on of each row, of rows that lie in one: a row begins where places begin anew."""
    for line, numbers in zip(trained, places, strict=True):
        yield from line.tensor_split(numbers.eq(0).nonzero().flatten()[1:].tolist())
