"""What a comparison found, as a page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from polar_tools.provenance import Node
from polar_tools.scores import plain


@dataclass(frozen=True)
class Line:
    """A pair by one figure; numbers are written as people read them, `value` and `p` are for sorting."""

    baseline: str
    other: str
    figure: str
    difference: str
    interval: str
    value: float
    p: float | None
    verdict: str


@dataclass(frozen=True)
class Compared:
    """All that was measured on one evaluation, compared; `told` is report.json."""

    name: str
    node: Node
    told: dict[str, Any]

    def sentences(self, language: str, kind: str = "sentences") -> Sequence[str]:
        """What may be concluded (`sentences`), and where the clean part of the rows says something else (`stories`)."""
        return [one[language] for one in self.told.get(kind, ())]

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know."""
        return list(self.told.get("notes", ()))

    @property
    def lines(self) -> Iterator[Line]:
        """Every pair by every figure."""
        for pair in self.told["pairs"]:
            for figure, found in pair["figures"].items():
                factor, digits = (100, 1) if self.told["figures"][figure]["share"] else (1, 3)
                ends = " – ".join(plain(factor * end, digits, True) for end in found["interval"] or ())
                shown = plain(factor * found["difference"], digits, True)
                yield Line(pair["baseline"], pair["other"], figure, shown, ends, found["difference"], found["p_holm"], found["verdict"])
