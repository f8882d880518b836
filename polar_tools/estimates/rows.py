"""How many rows and tokens a training sees: as tokenize counted them, or else by the characters that prepare counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import discovery, pictures
from polar_tools.artifact import read_json
from polar_tools.estimates.amounts import UnknownError

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

CHARACTERS = 4.0
"""Characters of a token, where nothing was tokenized yet. Text that a tokenizer was not made for has fewer; what it says is a guess."""
SEQUENCES = {"seq2seq": 2, "dpo": 2, "orpo": 2, "reward": 2, "sentence_transformer": 2}
"""Sequences of a row, where a method has several."""


@dataclass(frozen=True)
class Rows:
    """The rows that are trained on."""

    count: int
    mean: float
    """Tokens of all sequences of a row."""
    shortest: int
    """Tokens of the longest sequence of the row where that is shortest."""
    longest: int
    """Tokens of the longest sequence of any row."""
    sequences: int
    trained_mean: float
    """Tokens of a row, in all its sequences, that are trained on."""
    trained_longest: int
    """The most of any row."""
    told_by: str
    """Where these figures come from, for people."""

    @property
    def tokens(self) -> float:
        """Tokens of all rows."""
        return self.count * self.mean

    def cut(self, length: int | None) -> Rows:
        """With no sequence longer than `length`, as far as the longest and the mean tell."""
        if length is None or length >= self.longest:
            return self
        share = min(1.0, length * self.sequences / self.mean)
        return replace(
            self,
            mean=self.mean * share,
            shortest=min(self.shortest, length),
            longest=length,
            trained_mean=self.trained_mean * share,
            trained_longest=min(self.trained_longest, length * self.sequences),
        )


def read(config: Config, tokenized: Path, is_tokenized: bool, prepared: Path, is_prepared: bool, known: int | None) -> Rows:
    """The rows of a training; raises UnknownError where neither tokens nor prepared rows are there yet.

    `known` is how many rows a model of the plan is known to make longer than tokens are counted: what its config calls positions.
    """
    if is_tokenized and (report := read_json(tokenized / "report.json")) is not None:
        return _tokenized(config, report)
    if is_prepared and (report := read_json(prepared / "report.json")) is not None and "measures" in report:
        return _prepared(config, report, known).cut(config.max_length)
    raise UnknownError("unknown until the dataset is prepared")


def _tokenized(config: Config, report: dict[str, Any]) -> Rows:
    kept, sequences = max(1, report["kept"]), SEQUENCES.get(config.method, 1)
    mean, longest = report["tokens"] / kept, report["length"]["max"]
    masked = "trained_length" in report
    return Rows(
        count=kept,
        mean=mean,
        shortest=report["length"]["min"],
        longest=longest,
        sequences=sequences,
        trained_mean=report["trained_tokens"] / kept if masked else mean,
        trained_longest=report["trained_length"]["max"] if masked else longest * sequences,
        told_by="tokenize",
    ).cut(config.max_length)


def _prepared(config: Config, report: dict[str, Any], known: int | None) -> Rows:
    measured = report["measures"]["train"]
    method = SEQUENCES.get(config.method, 1)
    read = {name for columns in discovery.load("methods", config.method).COLUMNS for name in columns}
    if seen := sorted(read & set(pictures.COLUMNS) & set(report["columns"])):
        raise UnknownError(f"how many tokens the pictures in `{seen[0]}` become is unknown until they are tokenized")
    texts = [one for name, one in measured["texts"].items() if name in read and "mean" in one]
    if not texts:
        raise UnknownError("the prepared rows have no plain texts whose characters were counted; unknown until tokenized")
    mean = sum(one["mean"] for one in texts) / CHARACTERS
    longest = math.ceil(sum(one["max"] for one in texts) / CHARACTERS / method)
    shortest = math.ceil(sum(one["min"] for one in texts) / CHARACTERS / method)
    longest = min(longest, known or longest)
    return Rows(measured["rows"], mean, shortest, longest, method, mean, longest * method, f"characters / {CHARACTERS:g}")
