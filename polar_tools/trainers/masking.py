"""Hide tokens of a text for a model to guess (Devlin et al. 2019): other ones in each epoch, the same in each run.

transformers' collator draws from torch's one generator, a batch ahead of the step, so that a training that goes on from a
checkpoint would see other masks. Here what is hidden of a row depends on seed, epoch and row, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerState

IGNORED = -100


@dataclass(frozen=True)
class Masking:
    """How much is hidden, and by what."""

    mask: int
    """The id of the token that stands for what is hidden."""
    vocabulary: int
    """Ids to draw a random one from."""
    mlm_probability: float
    whole_words: bool
    mask_replace_prob: float = 1.0
    random_replace_prob: float = 0.0

    def hide(self, row: Mapping[str, Sequence[int]], *seeds: int) -> dict[str, list[int]]:
        """`row` with some of what has labels hidden, and labels there only: at least one token, or one word, as `seeds` decide.

        `word_ids` says to which word a token belongs.
        """
        drawn = np.random.default_rng(seeds)
        ids, known = np.array(row["input_ids"]), np.array(row["labels"])
        may = np.flatnonzero(known != IGNORED)
        units, unit = np.unique(np.array(row["word_ids"])[may] if self.whole_words else may, return_inverse=True)
        luck = drawn.random(len(units))
        places = may[(luck <= max(self.mlm_probability, luck.min()))[unit]]
        fate = drawn.random(len(places))
        swapped = places[(fate >= self.mask_replace_prob) & (fate < self.mask_replace_prob + self.random_replace_prob)]
        ids[places[fate < self.mask_replace_prob]] = self.mask
        ids[swapped] = drawn.integers(self.vocabulary, size=len(swapped))
        labels = np.full_like(known, IGNORED)
        labels[places] = known[places]
        return {"input_ids": ids.tolist(), "labels": labels.tolist()}


class MaskedRows(Dataset[dict[str, list[int]]]):
    """Rows of tokens as they are seen in an epoch."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], masking: Masking, seed: int) -> None:
        self.epoch = 0
        self._rows, self._masking, self._seed = rows, masking, seed

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> dict[str, list[int]]:
        return self._masking.hide(self._rows[place], self._seed, self.epoch, place)


class NewMasks(TrainerCallback):
    """Tell the rows which epoch it is."""

    def __init__(self, rows: MaskedRows) -> None:
        self._rows = rows

    def on_epoch_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """The epoch that begins, or that a checkpoint lies in."""
        self._rows.epoch = int((state.epoch or 0.0) + 1e-6)
