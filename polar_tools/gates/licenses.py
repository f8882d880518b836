"""Licences of base and data are known, and allow what is published under the licence that it is published under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.gates import base
from polar_tools.publishing import licensing

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Publication

TITLE = "the licences of all sources are known, and go together with that of the publication"
MEANS = (
    "say what you know under `licenses: {NAME: LICENCE}`, publish under `license:` what they allow, or waive `licenses` "
    "with the reason; this is a check of names, and no lawyer"
)
WAIVABLE = True
OF_FINISHED = True


def check(parcel: Publication) -> base.Outcome:
    """By the names of the licences, as the Hub has them."""
    known = licensing.of_sources(parcel)
    unknown = [f"{path}: its licence is not known" for path, licence in known.items() if licence is None]
    licences = {path: licence for path, licence in known.items() if licence is not None}
    problems = [*unknown, *licensing.conflicts(licences, parcel.terms.license)]
    told = ", ".join(f"{path} {licence}" for path, licence in licences.items())
    return base.judged(problems, f"{told or 'no sources'}; published under {licensing.published(parcel) or 'none'}")
