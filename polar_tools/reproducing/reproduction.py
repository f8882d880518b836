"""A reproduction from beginning to end."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from polar_tools import claims, records, signals
from polar_tools.claims import Claim
from polar_tools.errors import UserError
from polar_tools.reproducing import certificate, publication, verdicts, working
from polar_tools.reproducing.certificate import Certificate
from polar_tools.reproducing.verdicts import IDENTICAL, Verdict
from polar_tools.storage.base import Access


def reproduce(ref: str, output: Path, only: str | None, files: Path, tolerance: float, access: Access) -> Certificate:
    """Make what `ref` publishes once more below `output`, compare, and leave certificate.json there.

    With `only="evaluate"` the published weights are measured again, and nothing is trained. Interrupted, the same call goes on. Raises
    UserError where there is no claim, or a file that was read can't be found; WorldError where a source can't be had any more.
    """
    claim, identity = publication.fetch(ref, output, access)
    certified = partial(Certificate, ref, identity, claim.artifact, claim.record, tolerance, only)
    claim = claims.read(claim.folder.resolve())
    working.bring_local_files(claim, files, output)
    with contextlib.chdir(output), signals.listening():
        plan = publication.planned(claim)
        contradictions = list(publication.contradictions(claim, plan))
        if contradictions:
            return _written(certified(contradictions=contradictions))
        wanted, given = _asked(claim, only)
        paths = working.needed(plan, wanted, given)
        if given:
            working.give_weights(claim, Path())
        working.make(plan, paths, claim)
        return _written(certified(artifacts=_compared(claim, paths, tolerance)))


def _asked(claim: Claim, only: str | None) -> tuple[Sequence[str], Sequence[str]]:
    """What is to be made, and what is given."""
    if only is None:
        return [claim.artifact, *claim.evaluations], []
    if not claim.evaluations:
        raise UserError("the publication claims no evaluation, so there is nothing to measure again")
    return claim.evaluations, [claim.artifact]


def _compared(claim: Claim, paths: Sequence[str], tolerance: float) -> list[Verdict]:
    found: dict[str, Verdict] = {}
    for path in paths:
        weights = dict(working.weights(claim)) if path == claim.artifact else {}
        pair = verdicts.pair(path, claim.folder / claims.RECORDS / path, Path(path), weights)
        differing = [name for name in sorted(pair.made["inputs"]) if name in found and found[name].verdict != IDENTICAL]
        found[path] = verdicts.of(pair, tolerance, differing)
    return list(found.values())


def _written(found: Certificate) -> Certificate:
    records.write_whole(Path(certificate.FILE), records.canonical(found.as_dict()))
    return found
