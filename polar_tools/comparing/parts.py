"""The same comparison on the contaminated and on the clean part of a test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polar_tools.comparing import comparison
from polar_tools.comparing.comparison import Comparison, Families
from polar_tools.comparing.lots import Paired
from polar_tools.metrics.base import Options


@dataclass(frozen=True)
class Parts:
    """Rows that overlap with what any of the lots was trained on, and all others; None for a part without rows."""

    contaminated: Comparison | None
    clean: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {name: None if one is None else one.as_dict() for name, one in (("contaminated", self.contaminated), ("clean", self.clean))}


def split(paired: Paired, families: Families, metrics: Sequence[Options], samples: int, seed: int) -> Parts | None:
    """The comparison by parts; None where nothing overlaps, or nothing is known of it."""
    seen = set(paired.seen)
    if not seen:
        return None

    def part(numbers: list[int]) -> Comparison | None:
        return comparison.compare(paired.at(numbers), families, metrics, samples, seed, forgiving=True) if numbers else None

    return Parts(part(sorted(seen)), part([number for number in range(len(paired.places)) if number not in seen]))
