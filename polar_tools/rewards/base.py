"""What every reward is given and what it gives back.

A reward file has Options and build(options, device) -> Scorer: a function from attempts to one number each, the higher the better.
Where nothing else is said the numbers lie between 0 and 1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from polar_tools import discovery
from polar_tools.discovery import OneOf
from polar_tools.errors import DataError
from polar_tools.fields import Frozen, did_you_mean

if TYPE_CHECKING:
    import torch


class Attempt(NamedTuple):
    """What a model wrote for a row."""

    prompt: str | Sequence[Mapping[str, Any]]
    """What it was asked: text, or turns where a chat template writes them."""
    completion: str
    """What it wrote, without special tokens and outer blanks."""
    row: Mapping[str, Any]
    """The row with all of its columns."""


Scorer = Callable[[Sequence[Attempt]], list[float]]


class Options(Frozen):
    """Base of a reward's options; `name` is the reward's file."""

    name: str
    """The reward: the name of a file in polar_tools/rewards."""
    weight: float = 1.0
    """The reward of a completion is the sum of all rewards, each times its weight; below 0 it is a penalty."""

    def columns(self) -> tuple[str, ...]:
        """The columns of a row that it reads."""
        return ()


Reward = Annotated[Options, OneOf("rewards", "Options", "name")]
"""A field of the config that holds the options of one of the rewards."""


def titles(rewards: Sequence[Options]) -> list[str]:
    """A name for each of `rewards` that no other has: `format`, `format_2`."""
    names = [reward.name for reward in rewards]
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [name if count == 1 else f"{name}_{count}" for name, count in zip(names, counts, strict=True)]


def build(rewards: Sequence[Options], device: "str | torch.device") -> dict[str, Scorer]:
    """The scorer of each reward by its title."""
    return {
        title: discovery.load("rewards", reward.name).build(reward, device) for title, reward in zip(titles(rewards), rewards, strict=True)
    }


def check_columns(rewards: Sequence[Options], columns: Sequence[str]) -> None:
    """Raise DataError for a column that a reward reads and that is not among `columns`."""
    for reward in rewards:
        for name in reward.columns():
            if name not in columns:
                has = ", ".join(f"`{column}`" for column in columns)
                hint = did_you_mean(name, list(columns)) or f"; the dataset has {has}"
                raise DataError(f"reward `{reward.name}` needs the column `{name}`, which isn't there{hint}")


def references(attempts: Sequence[Attempt], reward: str, column: str) -> list[str]:
    """The text in `column` of each row; raises DataError for a row that has none."""
    found = [attempt.row[column] for attempt in attempts]
    for text in found:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"reward `{reward}`: a row's `{column}` is {text!r} rather than text; the filter `missing` drops such rows")
    return found
