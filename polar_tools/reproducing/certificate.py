"""What a reproduction found, in writing: each artifact, the first that differs, and the verdict on the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from polar_tools.reproducing.verdicts import DIFFERENT, IDENTICAL, WITHIN, Verdict
from polar_tools.version import __version__

FILE = "certificate.json"
UNEXPLAINED = (
    "config, data, libraries and platform are those of the claim: either this computation doesn't repeat itself, or the claim is wrong"
)


@dataclass(frozen=True)
class Certificate:
    """A reproduction of `ref`, whose state `identity` tells; `only` says what was made, if not all."""

    ref: str
    identity: dict[str, str]
    artifact: str
    record: str
    tolerance: float
    only: str | None
    contradictions: list[str] = field(default_factory=list)
    """Where the claim doesn't agree with itself. Then nothing was made."""
    artifacts: Sequence[Verdict] = ()

    @property
    def verdict(self) -> str:
        """The worst of all."""
        found = {one.verdict for one in self.artifacts}
        if self.contradictions or DIFFERENT in found:
            return DIFFERENT
        return WITHIN if WITHIN in found else IDENTICAL

    @property
    def first(self) -> Verdict | None:
        """The first artifact, in the order of the work, that differs, rather than one that is within the tolerance."""
        worst = [one for one in self.artifacts if one.verdict == DIFFERENT]
        return next(iter(worst or [one for one in self.artifacts if one.verdict == WITHIN]), None)

    def as_dict(self) -> dict[str, Any]:
        """certificate.json."""
        return {
            "ref": self.ref,
            "publication": self.identity,
            "artifact": self.artifact,
            "record": self.record,
            "polar_tools": __version__,
            "tolerance": self.tolerance,
            "only": self.only,
            "verdict": self.verdict,
            "contradictions": self.contradictions,
            "first_that_differs": None if self.first is None else {"path": self.first.path, "why": self.first.why or [UNEXPLAINED]},
            "artifacts": [one.as_dict() for one in self.artifacts],
        }


def lines(found: Certificate) -> Iterator[str]:
    """The certificate for people."""
    yield f"reproduction of {found.ref}: {found.artifact}, record {found.record[:12]}"
    if found.contradictions:
        yield "the claim does not agree with itself, so nothing was made:"
        yield from (f"  {line}" for line in found.contradictions)
    for one in found.artifacts:
        yield f"  {one.verdict:<16}  {one.path}"
        yield from (f"      {number['name']}: claimed {number['claimed']}, found {number['found']}" for number in one.numbers)
        yield from (f"      {fact}" for fact in one.facts)
        yield from (f"      {name}: tensors are apart by {share:.3g} of their size" for name, share in one.weights.items())
    if found.first is not None:
        yield f"the first that differs is {found.first.path} ({', '.join(found.first.files[:4]) or 'what it found'}):"
        yield from (f"  {why}" for why in found.first.why or [UNEXPLAINED])
    yield found.verdict
