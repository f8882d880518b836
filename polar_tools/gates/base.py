"""What every gate shares: how it came out.

A gate file has TITLE (what must hold), MEANS (what to do where it doesn't) and `check(parcel) -> Outcome`. WAIVABLE is False where no
reason of a person's makes up for it. OF_FINISHED says whether it needs the records of what is finished, a Publication; all others are
asked of the checkpoints of a running training too, which are a Parcel. All are asked, so that one run names all that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["passed", "failed", "not applicable", "waived"]


@dataclass(frozen=True)
class Outcome:
    """How a gate came out; `found` is what was seen, in a few words. What is `final` can't be waived."""

    result: Result
    found: str
    final: bool = False


def judged(problems: list[str], good: str, final: bool = False) -> Outcome:
    """Failed where there are problems, of which the first few are named; `good` is what is said where there are none."""
    if not problems:
        return Outcome("passed", good)
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return Outcome("failed", "; ".join(problems[:SHOWN]) + more, final)


def not_applicable(why: str) -> Outcome:
    """Where there is nothing to look at."""
    return Outcome("not applicable", why)


SHOWN = 8
"""Problems that are named."""
