"""The figures that the person requires are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polar_tools.errors import UserError
from polar_tools.gates import base
from polar_tools.publishing import assembling

if TYPE_CHECKING:
    from polar_tools.publication_config import Requirement
    from polar_tools.publishing.publication import Publication

TITLE = "every figure of `require` is reached"
MEANS = "the model isn't as good as you asked for: train another, or ask for less"
WAIVABLE = True
OF_FINISHED = True


def check(parcel: Publication) -> base.Outcome:
    """Figures as the evaluations recorded them."""
    if not parcel.terms.require or parcel.run is None:
        return base.not_applicable("nothing is required")
    said, problems = [], []
    for figure, requirement in parcel.terms.require.items():
        try:
            value = assembling.required(parcel.spec.runs[parcel.run], figure)
        except UserError as error:
            problems.append(str(error))
            continue
        said.append(f"{figure} is {value:.6g}")
        if not requirement.met(value):
            problems.append(f"{said[-1]}, and {_asked(requirement)}")
    return base.judged(problems, "; ".join(said))


def _asked(requirement: Requirement) -> str:
    bounds = ((word, getattr(requirement, word)) for word in ("at_least", "at_most"))
    return " and ".join(f"{word.replace('_', ' ')} {bound:g}" for word, bound in bounds if bound is not None) + " is required"
