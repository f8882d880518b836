"""1 where the whole completion matches a regular expression, otherwise 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from polar_tools.rewards import base

if TYPE_CHECKING:
    import torch


def _compiles(pattern: str) -> str:
    """`pattern`, if it is a regular expression; raises ValueError where it is none."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


class Options(base.Options):
    """The expression, in Python's syntax: https://docs.python.org/3/library/re.html."""

    name: Literal["format"] = "format"
    pattern: Annotated[str, AfterValidator(_compiles)]
    """What the completion must match from its first character to its last; a dot matches line ends too."""


def build(options: Options, device: str | torch.device) -> base.Scorer:
    """Completions that match."""
    expression = re.compile(options.pattern, re.DOTALL)

    def score(attempts: Sequence[base.Attempt]) -> list[float]:
        return [float(expression.fullmatch(attempt.completion) is not None) for attempt in attempts]

    return score
