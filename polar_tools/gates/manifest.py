"""Every byte is what was recorded, down to the sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polar_tools import claims, provenance
from polar_tools.gates import base

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Publication

TITLE = "the artifact, its evaluations and all that they were made from are as their records say"
MEANS = "something was changed after it was made: `snakemake` makes it again, and `polar-tools verify` says what it is"
WAIVABLE = False
OF_FINISHED = True


def check(parcel: Publication) -> base.Outcome:
    """Hash all of the chain again, and compare the publication with what it claims."""
    paths = (parcel.artifact, *(node.path for node in (*parcel.base.values(), *parcel.evaluations.values())))
    looked_at, problems = provenance.verify_chains(Path(path) for path in paths)
    problems += claims.differences(claims.read(parcel.folder))
    return base.judged(problems, f"{len(looked_at)} artifacts and {len(parcel.names)} published files, all as recorded")
